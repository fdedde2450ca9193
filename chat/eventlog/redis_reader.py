"""Read other processes' logs from Redis: one task for all readers of this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chat.eventlog.base import PAUSE_AFTER_ERROR, LogMissing
from chat.eventlog.memory import Log
from chat.eventlog.redis_entries import decode, stream_key
from chat.events import LAST_EVENTS, LogEvent
from chat.infra.frame_rate import frame_rate
from chat.infra.tasks import create_background_task

logger = logging.getLogger(__name__)

READ_INTERVAL = 0.015
BLOCK_MS = 100
REMOTE_IDLE = 2.0
MAX_CONCURRENT_LOADS = 8


class _RemoteLog:
    """Another process's log as far as it was read here, and the number of its readers."""

    def __init__(self) -> None:
        self.log = Log(frame_rate())
        self.readers = 0
        self.read_from = "0"
        self.loaded = asyncio.Lock()

    def add(self, entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for entry_id, fields in entries:
            start, events = decode(fields[b"e"])
            known = len(self.log.events)
            if start > known:
                self.lose()
                return
            self.log.events.extend(events[known - start :])
            self.read_from = entry_id.decode()
        self.log.ended = bool(self.log.events) and isinstance(self.log.events[-1], LAST_EVENTS)
        self.log.notify_readers(time.monotonic())

    def lose(self) -> None:
        self.log.lost = True
        self.log.wake()


class RedisReader:
    """Logs that are written in other processes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._logs: dict[UUID, _RemoteLog] = {}
        self._loading = asyncio.Semaphore(MAX_CONCURRENT_LOADS)
        self._down_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def wake(self, message_id: UUID) -> None:
        if remote := self._logs.get(message_id):
            remote.log.wake()

    def note_error(self, error: Exception) -> None:
        if time.monotonic() > self._down_until + PAUSE_AFTER_ERROR:
            logger.warning("the shared event log does not answer: %s", type(error).__name__)
        self._down_until = time.monotonic() + PAUSE_AFTER_ERROR
        self._lose_all()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def read(self, message_id: UUID, every: float) -> AsyncGenerator[list[LogEvent], None]:
        if time.monotonic() < self._down_until:
            raise LogMissing
        remote = self._logs.setdefault(message_id, _RemoteLog())
        remote.readers += 1
        try:
            await self._load(message_id, remote)
            async with contextlib.aclosing(remote.log.read(REMOTE_IDLE, every)) as batches:
                async for events in batches:
                    yield events
        finally:
            remote.readers -= 1
            if not remote.readers and self._logs.get(message_id) is remote:
                del self._logs[message_id]

    async def _load(self, message_id: UUID, remote: _RemoteLog) -> None:
        """Read the log so far, for its first reader. Raises `LogMissing` where there is none."""
        async with remote.loaded:
            if remote.log.lost:
                raise LogMissing
            if remote.log.events:
                return
            try:
                async with self._loading:
                    entries: Any = await self._redis.xrange(stream_key(message_id))
                    remote.add(entries)
            except (RedisError, OSError) as error:
                self.note_error(error)
                raise LogMissing from None
            if not remote.log.events:
                raise LogMissing
        if self._task is None:
            self._task = create_background_task(self._read_while_followed())

    async def _read_while_followed(self) -> None:
        while followed := {
            stream_key(message_id): remote
            for message_id, remote in self._logs.items()
            if remote.log.events and not remote.log.ended and not remote.log.lost
        }:
            try:
                await self._read_once(followed)
                await asyncio.sleep(READ_INTERVAL)
            except (RedisError, OSError) as error:
                self.note_error(error)
            except Exception:
                logger.exception("reading other processes' logs failed")
                self._lose_all()
        self._task = None

    async def _read_once(self, followed: dict[str, _RemoteLog]) -> None:
        positions: dict[Any, Any] = {key: remote.read_from for key, remote in followed.items()}
        streams: Any = await self._redis.xread(positions, block=BLOCK_MS)
        for key, entries in streams or ():
            followed[key.decode()].add(entries)

    def _lose_all(self) -> None:
        for remote in self._logs.values():
            remote.lose()
        self._logs.clear()
