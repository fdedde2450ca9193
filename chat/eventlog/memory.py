"""Logs in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from chat.eventlog.base import IDLE, INTERVAL, KEEP_AFTER_END, LogMissing
from chat.events import LAST_EVENTS, Delta, LogEvent, Reasoning, Started
from chat.infra import metrics
from chat.infra.frame_rate import FrameRate, frame_rate
from chat.infra.timers import ResettableTimer


class _LogReader:
    """One reader of a log. It takes new events at most once in `pause` seconds: not before `due`."""

    __slots__ = ("_future", "_loop", "_rate", "due", "every", "pause", "timer")

    def __init__(self, every: float, rate: FrameRate) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._rate = rate
        self.timer = ResettableTimer(self.wake)
        self.every = self.pause = every
        self.due = 0.0

    def take(self, newest: LogEvent, now: float) -> None:
        """It takes the events up to `newest`. It does not pause after the start: the first text comes at once."""
        if self.every and self.due <= now and not isinstance(newest, Started):
            self.pause = self.every * self._rate.factor
            self.due = now + self.pause

    async def sleep(self, log: Log, seconds: float) -> None:
        """Until the log wakes this reader, at most so many seconds."""
        self._future = self._loop.create_future()
        self.wake_within(seconds)
        log.sleeping.append(self)
        try:
            await self._future
        finally:
            if self in log.sleeping:
                log.sleeping.remove(self)

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wake_within(self, seconds: float) -> None:
        self.timer.set(self._loop.time() + seconds)


class Log:
    """One log and its readers. `lost` says that the rest of it cannot be read here."""

    __slots__ = ("_rate", "ended", "events", "flushed_at", "lost", "pending", "readers", "since", "sleeping", "timer")

    def __init__(self, rate: FrameRate) -> None:
        self._rate = rate
        self.events: list[LogEvent] = []
        self.pending: list[LogEvent] = []
        self.readers: set[_LogReader] = set()
        self.sleeping: list[_LogReader] = []
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
        self.ended = isinstance(events[-1], LAST_EVENTS)
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
        if not isinstance(self.pending[-1], Started):  # the first text is not delayed by the start before it
            self.flushed_at = now
        self.events.extend(merged(self.pending))
        self.pending.clear()
        metrics.log_lag.observe(now - self.since)
        self.notify_readers(now)

    def notify_readers(self, now: float) -> None:
        """Wake readers whose interval has passed; at the end, wake all."""
        if self.ended:
            self.wake()
            return
        early: list[_LogReader] = []
        for reader in self.sleeping:
            if reader.due <= now:
                reader.take(self.events[-1], now)
                reader.wake()
            else:
                # It waits for the next text, so that none is delayed twice, but no longer than its interval.
                reader.wake_within(reader.pause)
                early.append(reader)
        self.sleeping = early

    def wake(self) -> None:
        sleeping, self.sleeping = self.sleeping, []
        for reader in sleeping:
            reader.wake()

    def seconds_until_wanted(self) -> float:
        due = min((reader.due for reader in self.readers), default=0.0)
        return max(INTERVAL * self._rate.factor, due - time.monotonic())

    def has_pages(self) -> bool:
        """Only pages limit how often they want more."""
        return any(reader.every for reader in self.readers)

    async def read(self, idle: float, every: float) -> AsyncGenerator[list[LogEvent], None]:
        position, reader = 0, _LogReader(every, self._rate)
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
                    reader.take(batch[-1], time.monotonic())
                yield batch
                if batch and isinstance(batch[-1], LAST_EVENTS):
                    return
        finally:
            reader.timer.stop()
            self.readers.discard(reader)


class MemoryEventLog:
    """Logs of this process, kept for `KEEP_AFTER_END` seconds after their end."""

    def __init__(self) -> None:
        self._rate = frame_rate()
        self._logs: dict[UUID, Log] = {}

    def open(self, message_id: UUID) -> None:
        self._logs.setdefault(message_id, Log(self._rate))

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        log = self._logs[message_id]
        log.append(events)
        if log.ended:
            asyncio.get_running_loop().call_later(KEEP_AFTER_END, self._logs.pop, message_id, None)

    def get(self, message_id: UUID) -> Log | None:
        return self._logs.get(message_id)

    def read(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        log = self._logs.get(message_id)
        return log.read(IDLE, every) if log else _missing()

    def seconds_until_wanted(self, message_id: UUID) -> float:
        return self._logs[message_id].seconds_until_wanted()

    def has_pages(self, message_id: UUID) -> bool:
        return self._logs[message_id].has_pages()

    def is_local(self, message_id: UUID) -> bool:
        return message_id in self._logs

    def wake(self, message_id: UUID) -> None:
        if log := self._logs.get(message_id):
            log.wake()

    async def close(self) -> None:
        return


async def _missing() -> AsyncGenerator[list[LogEvent], None]:
    raise LogMissing
    yield []


def merged(events: Sequence[LogEvent]) -> list[LogEvent]:
    """The same with neighbouring pieces of text joined."""
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
