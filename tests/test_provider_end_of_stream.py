"""What may follow the finish reason, and how long it is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from chat.events import Usage
from chat.providers import completion
from tests.completions import ask
from tests.fakes import DONE, FakeProvider, Hang, Repeat, Reset, chunk, event, stream, usage_chunk

STOP = chunk(finish="stop")
HEARTBEAT = b": ping\n\n"


def test_done_without_a_finish_reason_is_not_waited_after(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream("one", DONE, Hang()))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one")


@pytest.mark.parametrize(
    "late", [Reset(), Hang(), Repeat(HEARTBEAT, 0.05), event({"error": "x"}), b"data: {nonsense}\n\n"]
)
def test_nothing_after_the_finish_reason_is_an_error(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, late: Any
) -> None:
    monkeypatch.setattr(completion, "USAGE_TIMEOUT", 0.2)
    fake_provider.enqueue(stream("one", STOP, 0.02, late))
    answer = ask()
    assert (answer.text, answer.finish, answer.error) == ("one", "stop", None)


def test_late_usage_is_waited_for(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream("one", STOP, 0.3, usage_chunk(7, 1), DONE))
    assert ask().usage == Usage(prompt_tokens=7, completion_tokens=1)


def test_a_connection_left_open_after_done_is_closed(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "USAGE_TIMEOUT", 60)
    fake_provider.enqueue(stream("one", STOP, DONE, Hang()))
    assert ask().finish == "stop"
    assert fake_provider.history[0]["left"].wait(5)
