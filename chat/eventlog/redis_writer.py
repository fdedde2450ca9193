"""Write this process's logs to Redis: what all of them gained, in one pipeline at a time."""

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

from chat.eventlog.base import KEEP_AFTER_END, PAUSE_AFTER_ERROR
from chat.eventlog.memory import MemoryEventLog
from chat.eventlog.redis_entries import encode, stream_key
from chat.infra.tasks import create_background_task

logger = logging.getLogger(__name__)

WRITE_INTERVAL = 0.045
MAX_ENTRIES = 50_000
EXPIRE_RUNNING = 600
"""Seconds after which the log of a process that died is deleted."""
REFRESH_INTERVAL = 30.0


class _Written:
    """How far one local log has been written to Redis."""

    __slots__ = ("expires_set", "position")

    def __init__(self) -> None:
        self.position = 0
        self.expires_set = float("-inf")


class RedisWriter:
    """One task for all logs of this process. `on_error` is called after every attempt that failed."""

    def __init__(self, redis: Redis, local: MemoryEventLog, on_error: Callable[[Exception], None]) -> None:
        self._redis = redis
        self._local = local
        self._on_error = on_error
        self._written: dict[UUID, _Written] = {}
        self._changed: set[UUID] = set()
        self._has_changes = asyncio.Event()
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def mark_changed(self, message_id: UUID) -> None:
        self._changed.add(message_id)
        self._has_changes.set()
        if self._task is None:
            self._task = create_background_task(self._write_until_cancelled())

    async def close(self) -> None:
        """Write what is not yet written, where Redis accepts it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        with contextlib.suppress(RedisError, OSError):
            await self._write()

    async def _write_until_cancelled(self) -> None:
        while True:
            await self._has_changes.wait()
            try:
                await self._write()
                await asyncio.sleep(WRITE_INTERVAL)
            except (RedisError, OSError) as error:
                self._on_error(error)
                await asyncio.sleep(PAUSE_AFTER_ERROR)
            except Exception:
                logger.exception("writing the event log to Redis failed and is repeated")
                await asyncio.sleep(PAUSE_AFTER_ERROR)

    async def _write(self) -> None:
        """Write all changed logs in one pipeline. What fails stays marked and is sent again, with what came since."""
        async with self._writing:
            self._has_changes.clear()
            pipeline = self._redis.pipeline(transaction=False)
            sent: dict[UUID, int] = {}
            for message_id in list(self._changed):
                self._add(pipeline, message_id, sent)
            if not sent:
                if self._changed:
                    self._has_changes.set()
                return
            try:
                _check(await pipeline.execute(raise_on_error=False))
            except (RedisError, OSError):
                self._has_changes.set()
                raise
            self._note_written(sent)

    def _add(self, pipeline: Any, message_id: UUID, sent: dict[UUID, int]) -> None:
        log = self._local.get(message_id)
        if log is None:
            self._changed.discard(message_id)
            self._written.pop(message_id, None)
            return
        written = self._written.setdefault(message_id, _Written())
        end = len(log.events)
        if end > written.position:
            data = encode(written.position, log.events[written.position :])
            pipeline.xadd(stream_key(message_id), {"e": data}, id=f"{end}-0", maxlen=MAX_ENTRIES, approximate=True)
            sent[message_id] = end
        if log.ended or time.monotonic() - written.expires_set > REFRESH_INTERVAL:
            pipeline.expire(stream_key(message_id), int(KEEP_AFTER_END) if log.ended else EXPIRE_RUNNING)
            written.expires_set = time.monotonic()

    def _note_written(self, sent: dict[UUID, int]) -> None:
        for message_id, end in sent.items():
            self._written[message_id].position = end
        for message_id in list(self._changed):
            log, written = self._local.get(message_id), self._written.get(message_id)
            if written is None or (log and (log.pending or len(log.events) > written.position)):
                continue
            self._changed.discard(message_id)
            if log is None or log.ended:
                del self._written[message_id]
        if self._changed:
            self._has_changes.set()


def _check(results: Iterable[Any]) -> None:
    """Raise the first error. An entry that exists already came from an attempt whose reply was lost."""
    for result in results:
        if isinstance(result, ResponseError) and "equal or smaller" in str(result):
            continue
        if isinstance(result, Exception):
            raise result
