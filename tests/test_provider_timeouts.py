"""The first-token, stall and answer timeouts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from chat import errors
from chat.providers import stream_completion
from chat.providers.timeouts import AnswerTimeouts
from tests.completions import ask, request, run
from tests.fakes import (
    DONE,
    FakeProvider,
    Hang,
    Repeat,
    Script,
    chunk,
    hang,
    hang_after_headers,
    stream,
    text,
    usage_chunk,
)
from tests.waiting import await_until, wait_until

STOP = chunk(finish="stop")
HEARTBEAT = b": ping\n\n"
EMPTY_DELTA = chunk("")


def test_a_server_that_never_answers_ends_at_the_first_token_timeout(
    fake_provider: FakeProvider, settings: Any
) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 1
    fake_provider.always(hang())
    answer = ask()
    assert isinstance(answer.error, errors.ProviderTimeout)
    assert len(fake_provider.history) == 1
    assert fake_provider.history[0]["left"].wait(5)


@pytest.mark.parametrize(
    "script",
    [
        hang_after_headers(),
        stream(Repeat(b": ping\n\n", 0.01)),
        stream(Repeat(b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n', 0.01)),
        stream(Repeat(b": flood\n\n" * 100)),
    ],
    ids=["silence", "comments", "empty deltas", "many comments"],
)
def test_headers_without_text_end_at_the_first_token_timeout(
    fake_provider: FakeProvider, settings: Any, script: Script
) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 1
    fake_provider.always(script)
    answer = ask()
    assert isinstance(answer.error, errors.ProviderTimeout)
    assert answer.opened
    assert answer.text == ""
    assert fake_provider.history[0]["left"].wait(5)


@pytest.mark.parametrize(
    "silence",
    [Hang(), Repeat(HEARTBEAT, 0.01), Repeat(EMPTY_DELTA, 0.01), Repeat(HEARTBEAT * 500), Repeat(usage_chunk(), 0.01)],
    ids=["silence", "comments", "empty deltas", "many comments", "usage"],
)
def test_a_stall_ends_at_the_stall_timeout(fake_provider: FakeProvider, settings: Any, silence: Any) -> None:
    settings.CHAT_STALL_TIMEOUT = 0.2
    fake_provider.enqueue(stream("one", silence))
    answer = ask()
    assert type(answer.error) is errors.ProviderTimeout
    assert answer.text == "one"
    assert answer.seconds < 30, "another timeout ended it"
    assert fake_provider.history[0]["left"].wait(5)


def test_text_resets_the_stall_timeout(fake_provider: FakeProvider, settings: Any) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = settings.CHAT_STALL_TIMEOUT = 0.4
    fake_provider.enqueue(text(*"abcdef", delay=0.15, reasoning="uvwxyz"))
    answer = ask()
    assert (answer.text, answer.reasoning, answer.finish) == ("abcdef", "uvwxyz", "stop")


def test_a_slow_consumer_is_not_a_stall(fake_provider: FakeProvider, settings: Any) -> None:
    settings.CHAT_STALL_TIMEOUT = 0.1
    fake_provider.enqueue(stream("one ", 0.05, "two ", STOP, DONE))

    async def work() -> str:
        received = ""
        async for events in stream_completion(request()):
            received += "".join(getattr(event, "text", "") for event in events)
            ready = time.monotonic() + 0.3
            await await_until(lambda ready=ready: time.monotonic() >= ready)
        return received

    assert run(work) == "one two "


def test_an_endless_answer_is_cut_at_the_answer_timeout(fake_provider: FakeProvider, settings: Any) -> None:
    settings.CHAT_ANSWER_TIMEOUT = 0.3
    fake_provider.enqueue(stream(Repeat(chunk("word "), 0.02)))
    answer = ask()
    assert answer.error is None
    assert answer.finish == "length"
    assert answer.text.startswith("word word ")
    assert fake_provider.history[0]["left"].wait(5)


def test_endless_reasoning_is_a_timeout(fake_provider: FakeProvider, settings: Any) -> None:
    settings.CHAT_ANSWER_TIMEOUT = 0.3
    fake_provider.enqueue(stream(Repeat(chunk(reasoning="hm "), 0.02)))
    answer = ask()
    assert type(answer.error) is errors.ProviderTimeout
    assert answer.reasoning.startswith("hm hm ")


def test_a_cancellation_at_the_deadline_stays_a_cancellation() -> None:
    async def both_at_once() -> tuple[int, int]:
        timeouts = AnswerTimeouts()
        timeouts.limit_remaining(0.05)
        task = asyncio.create_task(timeouts.wait(asyncio.Event().wait()))
        await asyncio.sleep(0)  # the task runs until it waits
        blocked_until = time.monotonic() + 0.1
        wait_until(lambda: time.monotonic() >= blocked_until)  # now both are due in the same turn of the loop
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled(), task.cancelling()

    assert asyncio.run(both_at_once()) == (True, 1)


def test_a_timeout_leaves_the_task_uncancelled() -> None:
    async def work() -> int:
        timeouts = AnswerTimeouts()
        timeouts.limit_remaining(0.01)
        with pytest.raises(TimeoutError):
            await timeouts.wait(asyncio.Event().wait())
        return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert asyncio.run(work()) == 0
