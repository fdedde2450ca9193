"""Handing this process's logs to Redis: what all of them gained, in one pipeline at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from chat.eventlog.base import KEEP_AFTER_END, PAUSE_AFTER_FAULT
from chat.eventlog.entries import encode, key_of
from chat.eventlog.memory import MemoryEventLog
from chat.infra.tasks import create_background_task

logger = logging.getLogger(__name__)

FLUSH = 0.045
MOST_ENTRIES = 50_000
KEEP_ALIVE = 600
REFRESH = 30.0


class _Published:
    """How far one local log has been handed over."""

    __slots__ = ("expires_set", "position")

    def __init__(self) -> None:
        self.position = 0
        self.expires_set = float("-inf")


class Publisher:
    """One task for all logs that are written here; `on_fault` hears of every attempt that failed."""

    def __init__(self, redis: Redis, local: MemoryEventLog, on_fault: Callable[[Exception], None]) -> None:
        self._redis = redis
        self._local = local
        self._on_fault = on_fault
        self._published: dict[UUID, _Published] = {}
        self._grown: set[UUID] = set()
        self._something_grew = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def grew(self, message_id: UUID) -> None:
        self._grown.add(message_id)
        self._something_grew.set()
        if self._task is None:
            self._task = create_background_task(self._publish_for_ever())

    async def close(self) -> None:
        """Hands over what is not yet written, where Redis takes it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        with contextlib.suppress(RedisError, OSError):
            await self._publish()

    async def _publish_for_ever(self) -> None:
        while True:
            await self._something_grew.wait()
            try:
                await self._publish()
                await asyncio.sleep(FLUSH)
            except (RedisError, OSError) as error:
                self._on_fault(error)
                await asyncio.sleep(PAUSE_AFTER_FAULT)
            except Exception:
                logger.exception("publishing broke; tried again")
                await asyncio.sleep(PAUSE_AFTER_FAULT)

    async def _publish(self) -> None:
        """Everything that grew, in one pipeline. What fails stays grown and is sent again, with more."""
        async with self._publishing:
            self._something_grew.clear()
            pipeline = self._redis.pipeline(transaction=False)
            sent: dict[UUID, int] = {}
            for message_id in list(self._grown):
                self._add(pipeline, message_id, sent)
            if not sent:
                if self._grown:
                    self._something_grew.set()
                return
            try:
                _check(await pipeline.execute(raise_on_error=False))
            except (RedisError, OSError):
                self._something_grew.set()
                raise
            self._note_published(sent)

    def _add(self, pipeline: Any, message_id: UUID, sent: dict[UUID, int]) -> None:
        log = self._local.get(message_id)
        if log is None:
            self._grown.discard(message_id)
            self._published.pop(message_id, None)
            return
        mark = self._published.setdefault(message_id, _Published())
        end = len(log.events)
        if end > mark.position:
            data = encode(mark.position, log.events[mark.position :])
            pipeline.xadd(key_of(message_id), {"e": data}, id=f"{end}-0", maxlen=MOST_ENTRIES, approximate=True)
            sent[message_id] = end
        if log.ended or time.monotonic() - mark.expires_set > REFRESH:
            pipeline.expire(key_of(message_id), int(KEEP_AFTER_END) if log.ended else KEEP_ALIVE)
            mark.expires_set = time.monotonic()

    def _note_published(self, sent: dict[UUID, int]) -> None:
        for message_id, end in sent.items():
            self._published[message_id].position = end
        for message_id in list(self._grown):
            log, mark = self._local.get(message_id), self._published.get(message_id)
            if mark is None or (log and (log.pending or len(log.events) > mark.position)):
                continue
            self._grown.discard(message_id)
            if log is None or log.ended:
                del self._published[message_id]
        if self._grown:
            self._something_grew.set()


def _check(results: Iterable[Any]) -> None:
    """An entry that is there already came from an attempt whose answer was lost."""
    for result in results:
        if isinstance(result, ResponseError) and "equal or smaller" in str(result):
            continue
        if isinstance(result, Exception):
            raise result
