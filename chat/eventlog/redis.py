"""Logs that other processes can read: one Redis Stream for each generation.

The writer keeps its log in memory and answers its own viewers from there. Beside
that, one task publishes what all logs gained, and one more reads on behalf of all
viewers of other processes' logs.
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

from chat.eventlog.following import Follower
from chat.eventlog.memory import MemoryEventLog
from chat.eventlog.publishing import Publisher
from chat.events import LogEvent

TIMEOUT = 1.0


class RedisEventLog:
    """Belongs to one event loop. Without Redis its own viewers miss nothing; others get `LogMissing`."""

    def __init__(self, url: str, sentinels: Sequence[tuple[str, int]] = ()) -> None:
        self._local = MemoryEventLog()
        self._redis = _connect(url, sentinels)
        self._follower = Follower(self._redis)
        self._publisher = Publisher(self._redis, self._local, on_fault=self._follower.note_fault)

    def open(self, message_id: UUID) -> None:
        self._local.open(message_id)

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        self._local.append(message_id, events)
        self._publisher.grew(message_id)

    def rest(self, message_id: UUID) -> float:
        return self._local.rest(message_id)

    def has_pages(self, message_id: UUID) -> bool:
        return self._local.has_pages(message_id)

    def is_local(self, message_id: UUID) -> bool:
        return self._local.is_local(message_id)

    def nudge(self, message_id: UUID) -> None:
        self._local.nudge(message_id)
        self._follower.nudge(message_id)

    def tail(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        log = self._local if self.is_local(message_id) else self._follower
        return log.tail(message_id, every)

    async def close(self) -> None:
        await self._follower.close()
        await self._publisher.close()
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
    return Sentinel(sentinels, sentinel_kwargs=timeouts).master_for(name, **known, **options)
