"""Logs that other processes can read: one Redis Stream for each generation.

The writer keeps its log in memory and answers its own viewers from there. Beside
that, one task publishes what all logs gained, in one pipeline. An entry's id is the
number of events up to its end, and it says where it begins: what is sent twice after
a fault is refused by Redis, or dropped by the reader. One more task reads on behalf
of all viewers of other processes' logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from chat.eventlog.base import KEEP_AFTER_END, LogMissing
from chat.eventlog.memory import Log, MemoryEventLog
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage, is_last

logger = logging.getLogger(__name__)

FLUSH = 0.045
MOST_ENTRIES = 50_000
KEEP_ALIVE = 600
REFRESH = 30.0
BLOCK_MS = 100
FAR_IDLE = 2.0
LOADS_AT_ONCE = 8
TIMEOUT = 1.0
PAUSE_AFTER_FAULT = 1.0

_TYPES: dict[str, type[LogEvent]] = {kind.__name__: kind for kind in (Started, Delta, Reasoning, Finished, Failed)}


def key_of(message_id: UUID) -> str:
    return f"chat:log:{message_id}"


def encode(start: int, events: Sequence[LogEvent]) -> bytes:
    return orjson.dumps([start, [(type(event).__name__, event) for event in events]])


def decode(data: bytes) -> tuple[int, list[LogEvent]]:
    start, items = orjson.loads(data)
    return start, [_event(name, fields) for name, fields in items]


def _event(name: str, fields: dict[str, Any]) -> LogEvent:
    if fields.get("usage"):
        fields["usage"] = Usage(**fields["usage"])
    return _TYPES[name](**fields)


class _Published:
    """How far one local log has been handed over."""

    __slots__ = ("expires_set", "position")

    def __init__(self) -> None:
        self.position = 0
        self.expires_set = float("-inf")


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


def _connect(url: str, sentinels: Sequence[tuple[str, int]]) -> Redis:
    """With sentinels, the host of `url` is the name they know the server by."""
    timeouts: dict[str, Any] = {"socket_connect_timeout": TIMEOUT / 2, "socket_timeout": TIMEOUT}
    options = {**timeouts, "retry": Retry(NoBackoff(), 0)}
    if not sentinels:
        return Redis.from_url(url, **options)
    known = parse_url(url)
    name = known.pop("host")
    return Sentinel(sentinels, sentinel_kwargs=timeouts).master_for(name, **known, **options)


class RedisEventLog:
    """Belongs to one event loop. Without Redis its own viewers miss nothing; others get `LogMissing`."""

    def __init__(self, url: str, sentinels: Sequence[tuple[str, int]] = ()) -> None:
        self._local = MemoryEventLog()
        self._redis = _connect(url, sentinels)
        self._published: dict[UUID, _Published] = {}
        self._grown: set[UUID] = set()
        self._something_grew = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._far: dict[UUID, _Far] = {}
        self._loading = asyncio.Semaphore(LOADS_AT_ONCE)
        self._down_until = 0.0
        self._publisher: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None

    def open(self, message_id: UUID) -> None:
        self._local.open(message_id)

    def append(self, message_id: UUID, events: Sequence[LogEvent]) -> None:
        self._local.append(message_id, events)
        self._grown.add(message_id)
        self._something_grew.set()
        if self._publisher is None:
            self._publisher = _detached(self._publish_for_ever())

    def rest(self, message_id: UUID) -> float:
        return self._local.rest(message_id)

    def has_pages(self, message_id: UUID) -> bool:
        return self._local.has_pages(message_id)

    def is_local(self, message_id: UUID) -> bool:
        return self._local.is_local(message_id)

    def nudge(self, message_id: UUID) -> None:
        self._local.nudge(message_id)
        if far := self._far.get(message_id):
            far.log.wake()

    def tail(self, message_id: UUID, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
        return self._local.tail(message_id, every) if self.is_local(message_id) else self._tail_far(message_id, every)

    async def close(self) -> None:
        tasks = [task for task in (self._publisher, self._reader) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._publisher = self._reader = None
        with contextlib.suppress(RedisError, OSError):
            await self._publish()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _publish_for_ever(self) -> None:
        while True:
            await self._something_grew.wait()
            try:
                await self._publish()
                await asyncio.sleep(FLUSH)
            except (RedisError, OSError) as error:
                self._note_fault(error)
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

    async def _tail_far(self, message_id: UUID, every: float) -> AsyncGenerator[list[LogEvent], None]:
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
                self._note_fault(error)
                raise LogMissing from None
            if not far.log.events:
                raise LogMissing
        if self._reader is None:
            self._reader = _detached(self._read_for_ever())

    async def _read_for_ever(self) -> None:
        while following := {
            key_of(message_id): far
            for message_id, far in self._far.items()
            if far.log.events and not far.log.ended and not far.log.lost
        }:
            try:
                await self._read(following)
                await asyncio.sleep(FLUSH / 3)
            except (RedisError, OSError) as error:
                self._note_fault(error)
            except Exception:
                logger.exception("reading other processes' logs broke")
                self._lose_all()
        self._reader = None

    async def _read(self, following: dict[str, _Far]) -> None:
        positions: dict[Any, Any] = {key: far.read_from for key, far in following.items()}
        streams: Any = await self._redis.xread(positions, block=BLOCK_MS)
        for key, entries in streams or ():
            following[key.decode()].take(entries)

    def _note_fault(self, error: Exception) -> None:
        if time.monotonic() > self._down_until + PAUSE_AFTER_FAULT:
            logger.warning("the shared log cannot be reached: %s", type(error).__name__)
        self._down_until = time.monotonic() + PAUSE_AFTER_FAULT
        self._lose_all()

    def _lose_all(self) -> None:
        for far in self._far.values():
            far.lose()
        self._far.clear()


def _check(results: Iterable[Any]) -> None:
    """An entry that is there already came from an attempt whose answer was lost."""
    for result in results:
        if isinstance(result, ResponseError) and "equal or smaller" in str(result):
            continue
        if isinstance(result, Exception):
            raise result


def _detached(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
