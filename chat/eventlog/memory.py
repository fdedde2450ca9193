"""Logs in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chat import metrics, pace
from chat.eventlog.base import IDLE, INTERVAL, KEEP_AFTER_END, LogMissing, merged
from chat.events import LogEvent, Started, is_last


class _Waiter:
    """One who waits for a log to grow: not before `due`, at the latest when the timer rings."""

    __slots__ = ("due", "future", "in_time", "pause", "timer")

    def __init__(self, seconds: float, due: float, pause: float) -> None:
        loop = asyncio.get_running_loop()
        self.due = due
        self.pause = pause
        self.in_time = False
        self.future: asyncio.Future[None] = loop.create_future()
        self.timer = loop.call_later(seconds, self.ring)

    def ring(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    def ring_in_time(self) -> None:
        """There is something, but too early: it goes with what comes next, or soon."""
        if not self.in_time:
            self.in_time = True
            self.timer.cancel()
            self.timer = self.future.get_loop().call_later(self.pause, self.ring)


class Log:
    """One log and those who wait for it. `lost` says that its end will never come this way."""

    __slots__ = ("ended", "events", "flushed_at", "lost", "pending", "since", "timer", "waiters")

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.pending: list[LogEvent] = []
        self.waiters: list[_Waiter] = []
        self.flushed_at = self.since = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False
        self.lost = False

    def append(self, events: Sequence[LogEvent]) -> None:
        if self.ended or not events:
            return
        now = time.monotonic()
        if not self.pending:
            self.since = now
        self.pending.extend(events)
        self.ended = is_last(events[-1])
        due = self.flushed_at + INTERVAL - now
        if self.ended or due <= 0:
            self.flush()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(due, self.flush)

    def flush(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        now = time.monotonic()
        if not isinstance(self.pending[-1], Started):  # the first words come at once, however soon they follow it
            self.flushed_at = now
        self.events.extend(merged(self.pending))
        self.pending.clear()
        metrics.log_lag.observe(now - self.since)
        self.grew(now)

    def grew(self, now: float) -> None:
        """Wakes those whose time has come; the end is everybody's."""
        if self.ended:
            self.wake()
            return
        early: list[_Waiter] = []
        for waiter in self.waiters:
            if waiter.due <= now:
                waiter.ring()
            else:
                waiter.ring_in_time()
                early.append(waiter)
        self.waiters = early

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.ring()

    async def wait(self, seconds: float, due: float, pause: float) -> None:
        waiter = _Waiter(seconds, due, pause)
        self.waiters.append(waiter)
        try:
            await waiter.future
        finally:
            waiter.timer.cancel()
            if waiter in self.waiters:
                self.waiters.remove(waiter)

    async def tail(self, idle: float, every: float) -> AsyncGenerator[list[LogEvent], None]:
        position, due, pause = 0, 0.0, every
        while True:
            behind = len(self.events) > position
            if not behind and self.lost:
                raise LogMissing
            if not behind or (not self.ended and time.monotonic() < due):
                await self.wait(pause if behind else idle, due, pause)
                if self.lost and len(self.events) == position:
                    raise LogMissing
            batch = self.events[position:]
            position += len(batch)
            if every and batch and not isinstance(batch[-1], Started):
                pause = pace.stretched(every)
                due = time.monotonic() + pause
            yield batch
            if batch and is_last(batch[-1]):
                return


class MemoryEventLog:
    """Logs of this process, kept for `KEEP_AFTER_END` seconds after their end."""

    def __init__(self) -> None:
        self._logs: dict[UUID, Log] = {}

    def open(self, message_id: UUID) -> None:
        self._logs.setdefault(message_id, Log())

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        log = self._logs[message_id]
        log.append(events)
        if log.ended:
            asyncio.get_running_loop().call_later(KEEP_AFTER_END, self._logs.pop, message_id, None)

    def get(self, message_id: UUID) -> Log | None:
        return self._logs.get(message_id)

    def tail(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        log = self._logs.get(message_id)
        return log.tail(IDLE, every) if log else _missing()

    def is_local(self, message_id: UUID) -> bool:
        return message_id in self._logs

    def nudge(self, message_id: UUID) -> None:
        if log := self._logs.get(message_id):
            log.wake()

    async def close(self) -> None:
        return


async def _missing() -> AsyncGenerator[list[LogEvent], None]:
    raise LogMissing
    yield []
