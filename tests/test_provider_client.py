"""Connections to the provider: headers, cookies, proxies, reuse, and when they are closed."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest

from chat import errors
from chat.events import ProviderEvent
from chat.infra.process import process
from chat.providers import close, list_models, stream_completion
from tests.completions import ask, collect, request, run
from tests.fakes import FakeProvider, Gate, Hang, Script, stream, text
from tests.waiting import await_until


@pytest.mark.parametrize("send", [lambda: collect(request()), list_models], ids=["completion", "models"])
def test_requests_tell_nothing_about_this_machine(
    fake_provider: FakeProvider, send: Callable[[], Awaitable[Any]]
) -> None:
    run(send)
    headers = fake_provider.history[0]["headers"]
    assert set(headers) - {"content-type", "content-length"} == {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "host",
        "user-agent",
    }
    assert headers["accept-encoding"] == "identity"
    assert headers["authorization"] == "Bearer test-key"
    assert headers["user-agent"].startswith("AsyncOpenAI/Python ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_cookies_are_not_sent_back(fake_provider: FakeProvider, settings: Any, host: str) -> None:
    settings.OPENAI_BASE_URL = fake_provider.url.replace("127.0.0.1", host)
    fake_provider.enqueue(text("one", headers={"Set-Cookie": "who=alice; Path=/"}), text("two"))

    async def work() -> None:
        await collect(request())
        await collect(request())

    run(work)
    assert "cookie" not in fake_provider.history[1]["headers"]


def test_requests_go_through_the_proxy_of_the_environment(
    fake_provider: FakeProvider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{fake_provider.port}")
    settings.OPENAI_BASE_URL = "http://provider.invalid/v1"
    assert ask("one").text == "one "
    assert fake_provider.history[0]["path"] == "http://provider.invalid/v1/chat/completions"


def test_an_unreachable_proxy_is_an_unreachable_provider(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    assert type(ask().error) is errors.ProviderUnreachable
    assert fake_provider.history == []


def test_a_connection_is_used_again(fake_provider: FakeProvider) -> None:
    async def work() -> int:
        for _ in range(5):
            await collect(request())
        return fake_provider.open_connections

    assert run(work) == 1


def test_each_event_loop_has_its_own_client(fake_provider: FakeProvider) -> None:
    assert [ask(word).text for word in ("one", "two")] == ["one ", "two "]
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask("hi").text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["hi "] * 3


@pytest.mark.parametrize("close_connections", [close, process.close])
def test_closed_connections_are_opened_again(
    fake_provider: FakeProvider, close_connections: Callable[[], Awaitable[None]]
) -> None:
    async def work() -> str:
        await collect(request("one"))
        await close_connections()
        await await_until(lambda: fake_provider.open_connections == 0)
        return (await collect(request("two"))).text

    assert run(work) == "two "


def test_changed_settings_take_effect_at_once(fake_provider: FakeProvider, settings: Any) -> None:
    async def work() -> None:
        await collect(request())
        settings.OPENAI_API_KEY = "other-key"
        await collect(request())

    run(work)
    assert [sent["headers"]["authorization"] for sent in fake_provider.history] == [
        "Bearer test-key",
        "Bearer other-key",
    ]


@pytest.mark.parametrize("stop", ["cancel", "close"])
def test_stopping_closes_the_connection(fake_provider: FakeProvider, stop: str) -> None:
    gate = Gate()
    fake_provider.enqueue(stream("one", gate))

    async def work() -> None:
        events = stream_completion(request())
        await anext(events)
        await anext(events)
        if stop == "close":
            await events.aclose()
        else:
            await cancel_while_reading(events)
        await await_until(fake_provider.history[0]["left"].is_set, 5)

    run(work)
    gate.open()


async def cancel_while_reading(events: AsyncIterator[list[ProviderEvent]]) -> None:
    task = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)  # the task runs until it waits for the network
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_stopping_before_the_headers_closes_the_connection(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(Script([], before_head=(Hang(),)))

    async def work() -> None:
        task = asyncio.create_task(collect(request()))
        await await_until(lambda: fake_provider.history)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await await_until(fake_provider.history[0]["left"].is_set, 5)

    run(work)


def test_an_open_stream_does_not_keep_the_request_body(fake_provider: FakeProvider) -> None:
    gate = Gate()
    fake_provider.always(stream("one", gate))
    asked = request("x" * 900_000)

    async def memory_of_open_streams(count: int) -> int:
        before = tracemalloc.get_traced_memory()[0]
        streams = [stream_completion(asked) for _ in range(count)]
        for events in streams:
            await anext(events)
            await anext(events)
        for sent in fake_provider.history:  # the fake provider is in this process, too
            sent.update(body=b"", json=None)
        grown = tracemalloc.get_traced_memory()[0] - before
        for events in streams:
            async with aclosing(events):
                pass
        return grown

    async def work() -> int:
        await memory_of_open_streams(1)
        return await memory_of_open_streams(5)

    tracemalloc.start()
    try:
        assert run(work) < 900_000
    finally:
        tracemalloc.stop()
        gate.open()
