"""Reading other processes' logs from Redis: one task on behalf of all viewers here."""

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

from chat.eventlog.base import PAUSE_AFTER_FAULT, LogMissing
from chat.eventlog.entries import decode, key_of
from chat.eventlog.memory import Log
from chat.events import LogEvent, is_last
from chat.infra.tasks import create_background_task

logger = logging.getLogger(__name__)

READ_PAUSE = 0.015
BLOCK_MS = 100
FAR_IDLE = 2.0
LOADS_AT_ONCE = 8


class _Far:
    """Another process's log as far as it was read here, and the number of those who follow it."""

    def __init__(self) -> None:
        self.log = Log()
        self.followers = 0
        self.read_from = "0"
        self.loaded = asyncio.Lock()

    def take(self, entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> None:
        for entry_id, fields in entries:
            start, events = decode(fields[b"e"])
            known = len(self.log.events)
            if start > known:
                self.lose()
                return
            self.log.events.extend(events[known - start :])
            self.read_from = entry_id.decode()
        self.log.ended = bool(self.log.events) and is_last(self.log.events[-1])
        self.log.grew(time.monotonic())

    def lose(self) -> None:
        self.log.lost = True
        self.log.wake()


class Follower:
    """What viewers here see of logs that are written elsewhere."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._far: dict[UUID, _Far] = {}
        self._loading = asyncio.Semaphore(LOADS_AT_ONCE)
        self._down_until = 0.0
        self._task: asyncio.Task[None] | None = None

    def nudge(self, message_id: UUID) -> None:
        if far := self._far.get(message_id):
            far.log.wake()

    def note_fault(self, error: Exception) -> None:
        if time.monotonic() > self._down_until + PAUSE_AFTER_FAULT:
            logger.warning("the shared log cannot be reached: %s", type(error).__name__)
        self._down_until = time.monotonic() + PAUSE_AFTER_FAULT
        self._lose_all()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def tail(self, message_id: UUID, every: float) -> AsyncGenerator[list[LogEvent], None]:
        if time.monotonic() < self._down_until:
            raise LogMissing
        far = self._far.setdefault(message_id, _Far())
        far.followers += 1
        try:
            await self._load(message_id, far)
            async with contextlib.aclosing(far.log.tail(FAR_IDLE, every)) as tail:
                async for events in tail:
                    yield events
        finally:
            far.followers -= 1
            if not far.followers and self._far.get(message_id) is far:
                del self._far[message_id]

    async def _load(self, message_id: UUID, far: _Far) -> None:
        """The log so far, for the first who asks; raises `LogMissing` where there is none."""
        async with far.loaded:
            if far.log.lost:
                raise LogMissing
            if far.log.events:
                return
            try:
                async with self._loading:
                    entries: Any = await self._redis.xrange(key_of(message_id))
                    far.take(entries)
            except (RedisError, OSError) as error:
                self.note_fault(error)
                raise LogMissing from None
            if not far.log.events:
                raise LogMissing
        if self._task is None:
            self._task = create_background_task(self._read_for_ever())

    async def _read_for_ever(self) -> None:
        while following := {
            key_of(message_id): far
            for message_id, far in self._far.items()
            if far.log.events and not far.log.ended and not far.log.lost
        }:
            try:
                await self._read(following)
                await asyncio.sleep(READ_PAUSE)
            except (RedisError, OSError) as error:
                self.note_fault(error)
            except Exception:
                logger.exception("reading other processes' logs broke")
                self._lose_all()
        self._task = None

    async def _read(self, following: dict[str, _Far]) -> None:
        positions: dict[Any, Any] = {key: far.read_from for key, far in following.items()}
        streams: Any = await self._redis.xread(positions, block=BLOCK_MS)
        for key, entries in streams or ():
            following[key.decode()].take(entries)

    def _lose_all(self) -> None:
        for far in self._far.values():
            far.lose()
        self._far.clear()
