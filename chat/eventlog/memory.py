"""Logs in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chat import metrics
from chat.eventlog.base import IDLE, INTERVAL, KEEP_AFTER_END, LogMissing, merged
from chat.events import LogEvent, Started, is_last


class Log:
    """One log and those who wait for it. `lost` says that its end will never come this way."""

    __slots__ = ("ended", "events", "flushed_at", "lost", "pending", "since", "timer", "waiters")

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.pending: list[LogEvent] = []
        self.waiters: list[asyncio.Future[None]] = []
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
        self.wake()

    def wake(self) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            if waiter in self.waiters:
                self.waiters.remove(waiter)

    async def tail(self, idle: float) -> AsyncGenerator[list[LogEvent], None]:
        position = 0
        while True:
            batch = self.events[position:]
            if batch:
                position += len(batch)
                yield batch
                if is_last(batch[-1]):
                    return
            elif self.lost:
                raise LogMissing
            else:
                await self.wait(idle)
                if len(self.events) == position and not self.lost:
                    yield []


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

    def tail(self, message_id: UUID) -> AsyncGenerator[list[LogEvent], None]:
        log = self._logs.get(message_id)
        return log.tail(IDLE) if log else _missing()

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
