"""Logs that other processes can read: one Redis Stream for each generation.

The writer keeps its log in memory and serves its own readers from there. Beside that, one task writes what all logs
gained to Redis, and one reads other processes' logs for all readers here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chat.eventlog.memory import MemoryEventLog
from chat.eventlog.redis_reader import RedisReader
from chat.eventlog.redis_writer import RedisWriter
from chat.events import LogEvent

TIMEOUT = 1.0


class RedisEventLog:
    """Belongs to one event loop. Without Redis its own readers miss nothing; others get `LogMissing`."""

    def __init__(self, url: str, sentinels: Sequence[tuple[str, int]] = ()) -> None:
        self._local = MemoryEventLog()
        self._redis = _connect(url, sentinels)
        self._reader = RedisReader(self._redis)
        self._writer = RedisWriter(self._redis, self._local, on_error=self._reader.note_error)
        self._closed = False

    def open(self, message_id: UUID) -> None:
        self._local.open(message_id)

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        self._local.append(message_id, events)
        self._writer.mark_changed(message_id)

    def seconds_until_wanted(self, message_id: UUID) -> float:
        return self._local.seconds_until_wanted(message_id)

    def has_pages(self, message_id: UUID) -> bool:
        return self._local.has_pages(message_id)

    def is_local(self, message_id: UUID) -> bool:
        return self._local.is_local(message_id)

    def wake(self, message_id: UUID) -> None:
        self._local.wake(message_id)
        self._reader.wake(message_id)

    def read(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        log = self._local if self.is_local(message_id) else self._reader
        return log.read(message_id, every)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._reader.close()
        await self._writer.close()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()


def _connect(url: str, sentinels: Sequence[tuple[str, int]]) -> Redis:
    """With sentinels, the host of `url` is the name they know the server by."""
    timeouts: dict[str, Any] = {"socket_connect_timeout": TIMEOUT / 2, "socket_timeout": TIMEOUT}
    options = {**timeouts, "retry": Retry(NoBackoff(), 0)}
    if not sentinels:
        return Redis.from_url(url, **options)
    known = parse_url(url)
    name = known.pop("host")
    sentinel: Any = Sentinel
    client: Redis = sentinel(sentinels, sentinel_kwargs=timeouts).master_for(name, **known, **options)
    return client
