"""Thousands of faulty answers leak no memory, threads or connections."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chat.events import StreamFinished
from chat.providers.timeouts import AnswerTimeouts
from tests.completions import collect, request, run
from tests.fakes import (
    DONE,
    FakeProvider,
    Hang,
    Repeat,
    Script,
    chunk,
    close_after,
    error,
    event,
    raw,
    reset,
    reset_after,
    stream,
    text,
)
from tests.waiting import await_until, wait_until

ROUNDS = 60 if os.environ.get("SOAK") == "1" else 3
SCRIPTS: list[Script] = [
    text("fine"),
    error(401),
    error(429, headers={"Retry-After": "9"}),
    error(400),
    error(307, headers={"Location": "http://127.0.0.1:9/"}),
    reset_after("one", "two"),
    close_after("one", "two"),
    raw(b"garbage\r\n\r\n"),
    stream("one", event({"error": {"message": "x"}})),
    stream("one", b"data: {nonsense\n\n"),
    stream("one", DONE),
    stream("one", Hang()),
    stream("one", Repeat(b": ping\n\n", 0.01)),
    stream("one", Repeat(chunk("word " * 50))),
    stream("one", chunk("x" * 300_000)),
    stream(b"<h1>x</h1>", headers={"Content-Type": "text/html"}),
    stream("one", headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}),
    Script([], before_head=(Hang(),)),
    reset(),
]


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident() -> int:
    """Kilobytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def _one_round(server: FakeProvider) -> None:
    """Many answers at once; those that still run after a while are cancelled."""
    tasks = [asyncio.create_task(collect(request(max_output_tokens=50))) for _ in range(len(SCRIPTS) * 20)]
    ended, running = await asyncio.wait(tasks, timeout=1.0)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for answer in (task.result() for task in ended):
        assert (answer.error is None) == any(isinstance(event, StreamFinished) for event in answer.events)
    server.history.clear()
    await await_until(lambda: len(asyncio.all_tasks()) == 1)


def _answers_in_memory() -> int:
    gc.collect()
    # Not isinstance: it would load lazy modules of other packages.
    return sum(type(each) is AnswerTimeouts for each in gc.get_objects())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_thousands_of_faulty_answers_leak_nothing(
    fake_provider: FakeProvider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 30
    settings.CHAT_STALL_TIMEOUT = 0.3
    monkeypatch.setattr("chat.providers.failures.RETRY_PAUSE", 0.01)
    monkeypatch.setattr("chat.providers.stream_parser.MAX_LINE_BYTES", 100_000)
    turn = count()
    fake_provider.default = lambda asked: SCRIPTS[next(turn) % len(SCRIPTS)]

    async def rounds(number: int) -> None:
        for _ in range(number):
            await _one_round(fake_provider)
        # Connections close in later turns of the loop.
        await await_until(lambda: _answers_in_memory() == 0, 10, interval=0.1)

    run(lambda: rounds(1))
    gc.collect()
    threads, descriptors, resident = threading.active_count(), _descriptors(), _resident()
    run(lambda: rounds(ROUNDS))
    gc.collect()
    assert threading.active_count() <= threads
    wait_until(lambda: _descriptors() <= descriptors + 5)  # the fake provider closes its side later
    assert _resident() - resident < 24_000
