"""The append-only log of each generation, tailed by any number of viewers.

Text reaches the log at once when nothing was written for `INTERVAL`, else merged
with what follows within it: a viewer wakes at most twenty times a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from typing import Protocol
from uuid import UUID

from chat.events import Delta, LogEvent, Reasoning, is_last

INTERVAL = 0.05
KEEP_AFTER_END = 300.0
IDLE = 8.0


class LogMissing(Exception):
    """No log under this id here: never started, or ended long ago."""


class EventLog(Protocol):
    def open(self, message_id: UUID) -> None: ...

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        """Adds events; must be called on the event loop. Nothing may follow a last event."""

    def tail(self, message_id: UUID) -> AsyncGenerator[list[LogEvent], None]:
        """All events from the first on, as they come, until the last one.

        Yields an empty list after `IDLE` seconds of silence. Raises `LogMissing`.
        """


def merged(events: Sequence[LogEvent]) -> list[LogEvent]:
    """Neighbouring pieces of text made one."""
    result: list[LogEvent] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Delta) and isinstance(last, Delta):
            result[-1] = Delta(text=last.text + event.text)
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            result[-1] = Reasoning(text=last.text + event.text)
        else:
            result.append(event)
    return result


class _Log:
    __slots__ = ("ended", "events", "flushed_at", "pending", "timer", "waiters")

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.pending: list[LogEvent] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.flushed_at = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.ended = False

    def append(self, events: Sequence[LogEvent]) -> None:
        if self.ended:
            return
        self.pending.extend(events)
        self.ended = bool(events) and is_last(events[-1])
        due = self.flushed_at + INTERVAL - time.monotonic()
        if self.ended or due <= 0:
            self.flush()
        elif self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(due, self.flush)

    def flush(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.events.extend(merged(self.pending))
        self.pending.clear()
        self.flushed_at = time.monotonic()
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> bool:
        """False after `IDLE` seconds without a flush."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(IDLE):
                await waiter
        except TimeoutError:
            return False
        finally:
            if waiter in self.waiters:
                self.waiters.remove(waiter)
        return True


class MemoryEventLog:
    """Logs of this process, kept for `KEEP_AFTER_END` seconds after their end."""

    def __init__(self) -> None:
        self._logs: dict[UUID, _Log] = {}

    def open(self, message_id: UUID) -> None:
        self._logs.setdefault(message_id, _Log())

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        log = self._logs[message_id]
        log.append(events)
        if log.ended:
            asyncio.get_running_loop().call_later(KEEP_AFTER_END, self._logs.pop, message_id, None)

    async def tail(self, message_id: UUID) -> AsyncGenerator[list[LogEvent], None]:
        log = self._logs.get(message_id)
        if log is None:
            raise LogMissing(message_id)
        position = 0
        while True:
            batch = log.events[position:]
            if batch:
                position += len(batch)
                yield batch
                if is_last(batch[-1]):
                    return
            elif log.ended:
                return
            elif not await log.wait():
                yield []


@cache
def event_log() -> EventLog:
    """The log of this process."""
    return MemoryEventLog()
