"""An event log has the same content in the process that writes it and in every other process."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from chat.eventlog import (
    INTERVAL,
    LogMissing,
    MemoryEventLog,
    RedisEventLog,
    merged,
    redis_entries,
    redis_reader,
    redis_writer,
)
from chat.eventlog.base import KEEP_AFTER_END, EventLog
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage
from chat.infra.frame_rate import frame_rate
from tests.services import RedisServer
from tests.waiting import await_until

PACES: dict[str, Callable[[], float]] = {
    "steady": lambda: 0.005,
    "bursts": lambda: random.choice([0, 0, 0, 0.06]),
}
LAST = Finished(status="complete", usage=Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=1))


async def read(log: EventLog, message_id: uuid.UUID, started: asyncio.Semaphore | None = None) -> list[LogEvent]:
    """The whole log. Releases `started` after the first events."""
    events: list[LogEvent] = []
    async with aclosing(log.read(message_id)) as batches:
        async for batch in batches:
            if started and not events:
                started.release()
            events += batch
    return merged(events)


async def read_once_written(
    log: EventLog, message_id: uuid.UUID, started: asyncio.Semaphore | None = None
) -> list[LogEvent]:
    """Like `read`, for a log that another process may not have written yet."""
    while True:
        try:
            return await read(log, message_id, started)
        except LogMissing:
            await asyncio.sleep(0.01)


async def wait_until_written(server: RedisServer, *message_ids: uuid.UUID) -> None:
    """Wait until the logs have entries in Redis."""
    keys = [redis_entries.stream_key(message_id) for message_id in message_ids]
    with server.client() as client:
        await await_until(lambda: client.exists(*keys) == len(keys))


def run_with(count: int, server: RedisServer, body: Callable[..., Awaitable[None]]) -> None:
    """Each log stands for one process: they share nothing but Redis."""

    async def run() -> None:
        logs = [RedisEventLog(server.url) for _ in range(count)]
        try:
            async with asyncio.timeout(30):
                await body(*logs)
        finally:
            for log in logs:
                await log.close()

    asyncio.run(run())


def start(log: EventLog, message_id: uuid.UUID) -> LogEvent:
    first = Started(message_id=str(message_id), model="m")
    log.open(message_id)
    log.append(message_id, [first])
    return first


async def start_one_by_one(log: EventLog, count: int, interval: float) -> list[uuid.UUID]:
    """Start one log each `interval` seconds."""
    ids = [uuid.uuid4() for _ in range(count)]
    for message_id in ids:
        start(log, message_id)
        await asyncio.sleep(interval)
    return ids


async def append_words(log: EventLog, message_id: uuid.UUID, words: list[str], pause: Callable[[], float]) -> None:
    """Append one word after the other, with pauses of so many seconds."""
    for word in words:
        log.append(message_id, [Delta(text=word)])
        await asyncio.sleep(pause())


def test_every_event_is_decoded_as_it_was_encoded() -> None:
    events: list[LogEvent] = [
        Started(message_id="x", model="m"),
        Reasoning(text="hm 😀"),
        Delta(text="\u2028\x00 <b>"),
        Failed(status="interrupted", code="c", message="sentence", retry_after=3),
        LAST,
        Finished(status="stopped"),
    ]
    assert redis_entries.decode(redis_entries.encode(7, events)) == (7, events)


@pytest.mark.parametrize("pace", PACES)
def test_another_process_reads_all_of_it_once_and_in_order(redis_server: RedisServer, pace: str) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog, late: RedisEventLog) -> None:
        ids = [uuid.uuid4() for _ in range(8)]
        for message_id in ids:
            start(writer, message_id)
        words = [f"w{n} " for n in range(120)]
        pause = PACES[pace]
        early = [asyncio.ensure_future(read_once_written(reader, message_id)) for message_id in ids]
        await asyncio.gather(*(append_words(writer, message_id, words, pause) for message_id in ids))
        middle = [asyncio.ensure_future(read_once_written(late, message_id)) for message_id in ids]
        for message_id in ids:
            writer.append(message_id, [LAST])
        local = [await read(writer, message_id) for message_id in ids]
        for events in [*(await asyncio.gather(*early, *middle)), *local]:
            assert isinstance(events[0], Started)
            assert events[1:] == [Delta(text="".join(words)), LAST]
        assert await read(reader, ids[0]) == local[0], "after its end the log is still there"

    run_with(3, redis_server, body)


def test_answers_can_start_while_others_are_written(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(writer: RedisEventLog) -> None:
        ids = await start_one_by_one(writer, 200, 0.001)
        await wait_until_written(redis_server, *ids)

    run_with(1, redis_server, body)
    assert not caplog.records


def test_many_readers_share_one_connection(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        started = asyncio.Semaphore(0)
        readers = [asyncio.ensure_future(read_once_written(reader, message_id, started)) for _ in range(50)]
        for _ in readers:
            await started.acquire()
        with redis_server.client() as client:
            assert len(client.client_list()) <= 2 + redis_reader.MAX_CONCURRENT_LOADS
        writer.append(message_id, [Delta(text="all"), LAST])
        assert len({str(events) for events in await asyncio.gather(*readers)}) == 1

    run_with(2, redis_server, body)


def test_a_stream_has_an_expiry_time(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        key = redis_entries.stream_key(message_id)
        with redis_server.client() as client:
            await await_until(lambda: 0 < client.ttl(key) <= redis_writer.EXPIRE_RUNNING)
            writer.append(message_id, [LAST])
            await await_until(lambda: 0 < client.ttl(key) <= KEEP_AFTER_END)

    run_with(1, redis_server, body)


def test_an_unknown_log_is_missing(redis_server: RedisServer) -> None:
    async def body(log: RedisEventLog) -> None:
        with pytest.raises(LogMissing):
            await read(log, uuid.uuid4())

    run_with(1, redis_server, body)


def test_after_a_frozen_redis_nothing_is_lost_or_repeated(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        writer.append(message_id, [Delta(text="one ")])
        await wait_until_written(redis_server, message_id)
        started = asyncio.Semaphore(0)
        follower = asyncio.ensure_future(read(reader, message_id, started))
        await started.acquire()
        redis_server.freeze()
        writer.append(message_id, [Delta(text="two ")])
        with pytest.raises(LogMissing):
            await follower
        local = asyncio.ensure_future(read(writer, message_id))
        await await_until(lambda: caplog.text.count("does not answer") >= 2, message="the writer met no error")
        writer.append(message_id, [Delta(text="three "), LAST])
        assert (await local)[1:] == [Delta(text="one two three "), LAST], "readers of the same process get all text"
        redis_server.thaw()
        assert (await read_once_written(reader, message_id))[1:] == [Delta(text="one two three "), LAST]

    run_with(2, redis_server, body)


def test_readers_get_the_text_after_redis_lost_all_data(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog, newcomer: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        await wait_until_written(redis_server, message_id)
        started = asyncio.Semaphore(0)
        follower = asyncio.ensure_future(read(reader, message_id, started))
        await started.acquire()
        with redis_server.client() as client:
            client.flushall()
        writer.append(message_id, [Delta(text="after "), LAST])
        assert (await follower)[1:] == [Delta(text="after "), LAST]
        with pytest.raises(LogMissing):
            await read(newcomer, message_id)

    run_with(3, redis_server, body)


def test_wake_makes_a_waiting_reader_yield() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        first = start(log, message_id)
        async with asyncio.timeout(2), aclosing(log.read(message_id)) as batches:
            assert await anext(batches) == [first]
            waiting = asyncio.ensure_future(anext(batches))
            await asyncio.sleep(0)
            log.wake(message_id)
            assert await waiting == []

    asyncio.run(run())


@pytest.fixture
def not_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is not regarded as busy, so that intervals are not longer."""
    monkeypatch.setattr(frame_rate(), "factor", 1.0)


@pytest.mark.usefixtures("not_busy")
def test_a_reader_with_an_interval_gets_everything_and_the_end_at_once() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        words = [f"{number} " for number in range(50)]
        first = start(log, message_id)
        loop = asyncio.get_running_loop()

        async def read_slowly() -> tuple[list[float], list[LogEvent]]:
            moments, events = [], []
            async with aclosing(log.read(message_id, 0.25)) as batches:
                async for batch in batches:
                    moments.append(loop.time())
                    events += batch
            return moments, merged(events)

        async with asyncio.timeout(10):
            reading = asyncio.ensure_future(read_slowly())
            await append_words(log, message_id, words, lambda: 0.02)
            ended = loop.time()
            log.append(message_id, [LAST])
            moments, events = await reading
        assert events == [first, Delta(text="".join(words)), LAST]
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments[1:-1])]
        assert gaps
        assert min(gaps) > 0.2
        assert moments[-1] - ended < 0.15

    asyncio.run(run())


@pytest.mark.usefixtures("not_busy")
def test_text_before_the_interval_has_passed_is_sent_without_further_text() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        first = start(log, message_id)
        async with asyncio.timeout(3), aclosing(log.read(message_id, 0.1)) as batches:
            assert await anext(batches) == [first]
            log.append(message_id, [Delta(text="one")])
            assert await anext(batches) == [Delta(text="one")]
            log.append(message_id, [Delta(text="two")])
            assert await anext(batches) == [Delta(text="two")]

    asyncio.run(run())


@pytest.mark.usefixtures("not_busy")
def test_seconds_until_wanted_follow_the_readers() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        start(log, message_id)
        log.append(message_id, [Delta(text="one ")])
        assert log.seconds_until_wanted(message_id) == INTERVAL
        async with aclosing(log.read(message_id, 0.5)) as patient:
            await anext(patient)
            assert 0.4 < log.seconds_until_wanted(message_id) <= 0.5
            async with aclosing(log.read(message_id)) as eager:
                await anext(eager)
                assert log.seconds_until_wanted(message_id) == INTERVAL
        assert log.seconds_until_wanted(message_id) == INTERVAL

    asyncio.run(run())
