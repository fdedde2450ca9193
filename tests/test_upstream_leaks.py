"""Thousands of faulty answers leave the process as it was."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from chat.events import Finish
from tests.asking import collect, request, run
from tests.fakes import (
    DONE,
    FakeUpstream,
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
    stream("one", chunk("x" * 2_000_000)),
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


async def _one_round(server: FakeUpstream) -> None:
    answers = await asyncio.gather(*[collect(request(max_output_tokens=50)) for _ in range(len(SCRIPTS) * 30)])
    for answer in answers:
        assert (answer.error is None) == any(isinstance(event, Finish) for event in answer.events)
    assert {type(answer.error).__name__ for answer in answers} >= {"NoneType", "UpstreamBroken", "UpstreamTimeout"}
    server.history.clear()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_thousands_of_faulty_answers_leave_nothing_behind(
    fake_upstream: FakeUpstream, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = 1.5
    settings.CHAT_STALL_TIMEOUT = 0.5
    monkeypatch.setattr("chat.upstream.refusals.RETRY_PAUSE", 0.01)
    monkeypatch.setattr("chat.upstream.reading.LINE_LIMIT", 100_000)
    turn = count()
    fake_upstream.default = lambda asked: SCRIPTS[next(turn) % len(SCRIPTS)]

    async def rounds(number: int) -> None:
        for _ in range(number):
            await _one_round(fake_upstream)

    run(lambda: rounds(1))
    gc.collect()
    threads, descriptors, resident = threading.active_count(), _descriptors(), _resident()
    run(lambda: rounds(ROUNDS))
    gc.collect()
    assert threading.active_count() <= threads
    assert _descriptors() <= descriptors + 5
    assert _resident() - resident < 32_000
