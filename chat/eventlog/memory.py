"""Logs in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chat.eventlog.base import IDLE, INTERVAL, KEEP_AFTER_END, LogMissing, merged
from chat.events import LogEvent, Started, is_last
from chat.infra import frame_rate, metrics
from chat.infra.timers import ResettableTimer


class _Reader:
    """One who follows a log, and sleeps between two looks at it for `pause` seconds at least: not before `due`."""

    __slots__ = ("_future", "_loop", "due", "every", "pause", "timer")

    def __init__(self, every: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self.timer = ResettableTimer(self.ring)
        self.every = self.pause = every
        self.due = 0.0

    def look(self, newest: LogEvent, now: float) -> None:
        """It sees what there is, up to `newest`. After the start it does not rest: the first words come at once."""
        if self.every and self.due <= now and not isinstance(newest, Started):
            self.pause = frame_rate.scaled(self.every)
            self.due = now + self.pause

    async def sleep(self, log: Log, seconds: float) -> None:
        """Until the log wakes this reader, so many seconds at most."""
        self._future = self._loop.create_future()
        self.ring_within(seconds)
        log.waiters.append(self)
        try:
            await self._future
        finally:
            if self in log.waiters:
                log.waiters.remove(self)

    def ring(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def ring_within(self, seconds: float) -> None:
        self.timer.set(self._loop.time() + seconds)


class Log:
    """One log and those who wait for it. `lost` says that its end will never come this way."""

    __slots__ = ("ended", "events", "flushed_at", "lost", "pending", "readers", "since", "timer", "waiters")

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.pending: list[LogEvent] = []
        self.readers: set[_Reader] = set()
        self.waiters: list[_Reader] = []
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
        early: list[_Reader] = []
        for reader in self.waiters:
            if reader.due <= now:
                reader.look(self.events[-1], now)
                reader.ring()
            else:
                # It goes with what comes next, so that no words wait twice; at the latest a moment from now.
                reader.ring_within(reader.pause)
                early.append(reader)
        self.waiters = early

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.ring()

    def rest(self) -> float:
        due = min((reader.due for reader in self.readers), default=0.0)
        return max(frame_rate.scaled(INTERVAL), due - time.monotonic())

    def has_pages(self) -> bool:
        """Only they say how often they want more."""
        return any(reader.every for reader in self.readers)

    async def tail(self, idle: float, every: float) -> AsyncGenerator[list[LogEvent], None]:
        position, reader = 0, _Reader(every)
        self.readers.add(reader)
        try:
            while True:
                behind = len(self.events) > position
                if not behind and self.lost:
                    raise LogMissing
                if not behind or (not self.ended and time.monotonic() < reader.due):
                    await reader.sleep(self, reader.pause if behind else idle)
                    if self.lost and len(self.events) == position:
                        raise LogMissing
                batch = self.events[position:]
                position += len(batch)
                if batch:
                    reader.look(batch[-1], time.monotonic())
                yield batch
                if batch and is_last(batch[-1]):
                    return
        finally:
            reader.timer.stop()
            self.readers.discard(reader)


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

    def rest(self, message_id: UUID) -> float:
        return self._logs[message_id].rest()

    def has_pages(self, message_id: UUID) -> bool:
        return self._logs[message_id].has_pages()

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
