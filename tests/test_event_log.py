"""A log is read alike in the process that writes it and in any other."""

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
from chat.eventlog.redis import TIMEOUT
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage
from chat.infra.frame_rate import frame_rate
from tests.services import RedisServer

PACES: dict[str, Callable[[], float]] = {
    "steady": lambda: 0.005,
    "bursts": lambda: random.choice([0, 0, 0, 0.06]),
}
LAST = Finished(status="complete", usage=Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=1))


async def read(log: EventLog, message_id: uuid.UUID) -> list[LogEvent]:
    events: list[LogEvent] = []
    async with aclosing(log.read(message_id)) as tail:
        async for batch in tail:
            events += batch
    return merged(events)


async def read_when_there(log: EventLog, message_id: uuid.UUID) -> list[LogEvent]:
    while True:
        try:
            return await read(log, message_id)
        except LogMissing:
            await asyncio.sleep(0.01)


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


async def say(log: EventLog, message_id: uuid.UUID, words: list[str], pause: Callable[[], float]) -> None:
    for word in words:
        log.append(message_id, [Delta(text=word)])
        await asyncio.sleep(pause())


def test_every_event_survives_the_way_to_another_process() -> None:
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
        early = [asyncio.ensure_future(read_when_there(reader, message_id)) for message_id in ids]
        await asyncio.gather(*(say(writer, message_id, words, pause) for message_id in ids))
        middle = [asyncio.ensure_future(read_when_there(late, message_id)) for message_id in ids]
        for message_id in ids:
            writer.append(message_id, [LAST])
        local = [await read(writer, message_id) for message_id in ids]
        for events in [*(await asyncio.gather(*early, *middle)), *local]:
            assert isinstance(events[0], Started)
            assert events[1:] == [Delta(text="".join(words)), LAST]
        assert await read(reader, ids[0]) == local[0], "after its end the log is still there"

    run_with(3, redis_server, body)


def test_an_answer_that_begins_while_others_are_handed_over_is_not_held_up(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(writer: RedisEventLog) -> None:
        for _ in range(200):
            start(writer, uuid.uuid4())
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)

    run_with(1, redis_server, body)
    assert not caplog.records


def test_many_viewers_share_one_reading_connection(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        viewers = [asyncio.ensure_future(read_when_there(reader, message_id)) for _ in range(50)]
        await asyncio.sleep(0.3)
        with redis_server.client() as client:
            assert len(client.client_list()) <= 2 + redis_reader.MAX_CONCURRENT_LOADS
        writer.append(message_id, [Delta(text="all"), LAST])
        assert len({str(events) for events in await asyncio.gather(*viewers)}) == 1

    run_with(2, redis_server, body)


def test_a_stream_expires_by_itself(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        await asyncio.sleep(0.1)
        with redis_server.client() as client:
            assert 0 < client.ttl(redis_entries.stream_key(message_id)) <= redis_writer.EXPIRE_RUNNING
            writer.append(message_id, [LAST])
            await asyncio.sleep(0.2)
            assert 0 < client.ttl(redis_entries.stream_key(message_id)) <= KEEP_AFTER_END

    run_with(1, redis_server, body)


def test_an_unknown_log_is_missing(redis_server: RedisServer) -> None:
    async def body(log: RedisEventLog) -> None:
        with pytest.raises(LogMissing):
            await read(log, uuid.uuid4())

    run_with(1, redis_server, body)


def test_a_frozen_redis_loses_nothing_and_repeats_nothing(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        writer.append(message_id, [Delta(text="one ")])
        await asyncio.sleep(0.15)
        follower = asyncio.ensure_future(read(reader, message_id))
        await asyncio.sleep(0.15)
        redis_server.freeze()
        writer.append(message_id, [Delta(text="two ")])
        with pytest.raises(LogMissing):
            await follower
        local = asyncio.ensure_future(read(writer, message_id))
        await asyncio.sleep(TIMEOUT + 0.3)
        writer.append(message_id, [Delta(text="three "), LAST])
        assert (await local)[1:] == [Delta(text="one two three "), LAST], "local viewers go on"
        redis_server.thaw()
        assert (await read_when_there(reader, message_id))[1:] == [Delta(text="one two three "), LAST]

    run_with(2, redis_server, body)


def test_what_follows_a_loss_of_all_data_reaches_those_who_were_reading(redis_server: RedisServer) -> None:
    async def body(writer: RedisEventLog, reader: RedisEventLog, newcomer: RedisEventLog) -> None:
        message_id = uuid.uuid4()
        start(writer, message_id)
        await asyncio.sleep(0.15)
        follower = asyncio.ensure_future(read(reader, message_id))
        await asyncio.sleep(0.15)
        with redis_server.client() as client:
            client.flushall()
        writer.append(message_id, [Delta(text="after "), LAST])
        assert (await follower)[1:] == [Delta(text="after "), LAST]
        with pytest.raises(LogMissing):
            await read(newcomer, message_id)

    run_with(3, redis_server, body)


def test_a_nudge_wakes_a_silent_tail() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        first = start(log, message_id)
        async with asyncio.timeout(2), aclosing(log.read(message_id)) as tail:
            assert await anext(tail) == [first]
            waiting = asyncio.ensure_future(anext(tail))
            await asyncio.sleep(0)
            log.wake(message_id)
            assert await waiting == []

    asyncio.run(run())


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is not taken for a busy one."""
    monkeypatch.setattr(frame_rate(), "factor", 1.0)


@pytest.mark.usefixtures("calm")
def test_a_reader_who_wants_fewer_pieces_misses_nothing_and_hears_the_end_at_once() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        words = [f"{number} " for number in range(50)]
        first = start(log, message_id)
        loop = asyncio.get_running_loop()

        async def read_slowly() -> tuple[list[float], list[LogEvent]]:
            moments, events = [], []
            async with aclosing(log.read(message_id, 0.25)) as tail:
                async for batch in tail:
                    moments.append(loop.time())
                    events += batch
            return moments, merged(events)

        async with asyncio.timeout(10):
            reading = asyncio.ensure_future(read_slowly())
            await say(log, message_id, words, lambda: 0.02)
            ended = loop.time()
            log.append(message_id, [LAST])
            moments, events = await reading
        assert events == [first, Delta(text="".join(words)), LAST]
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments[1:-1])]
        assert gaps
        assert min(gaps) > 0.2
        assert moments[-1] - ended < 0.15

    asyncio.run(run())


@pytest.mark.usefixtures("calm")
def test_what_comes_too_early_and_is_the_last_for_now_is_not_kept_back() -> None:
    async def run() -> None:
        log = MemoryEventLog()
        message_id = uuid.uuid4()
        first = start(log, message_id)
        async with asyncio.timeout(3), aclosing(log.read(message_id, 0.1)) as tail:
            assert await anext(tail) == [first]
            log.append(message_id, [Delta(text="one")])
            assert await anext(tail) == [Delta(text="one")]
            log.append(message_id, [Delta(text="two")])
            assert await anext(tail) == [Delta(text="two")]

    asyncio.run(run())


@pytest.mark.usefixtures("calm")
def test_a_log_tells_how_long_nobody_wants_more() -> None:
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
