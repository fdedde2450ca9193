"""Answers that are larger than they may be are cut."""

from __future__ import annotations

import resource

import pytest

from chat import errors
from chat.events import Usage
from tests.completions import ask
from tests.fakes import FakeProvider, Repeat, chunk, stream, text

HEARTBEAT = b": ping\n\n"


def test_an_answer_of_a_server_that_ignores_the_output_limit_is_cut(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream(Repeat(chunk("word " * 100))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask(max_output_tokens=1000)
    assert answer.finish == "length"
    assert 10_000 < len(answer.text) < 50_000
    assert fake_provider.history[0]["left"].wait(5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_an_answer_at_the_output_limit_is_not_cut(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(text(*["wordword"] * 1000, usage=(10, 1000), finish="length"))
    answer = ask(max_output_tokens=1000)
    assert len(answer.text) == 8000
    assert answer.usage == Usage(prompt_tokens=10, completion_tokens=1000)


@pytest.mark.parametrize("said", ["", "one"])
@pytest.mark.parametrize(
    "line",
    [chunk("x" * 10_000_000), b"data: {", b": "],
    ids=["a huge event", "an endless line", "an endless comment"],
)
def test_an_endless_line_is_cut(fake_provider: FakeProvider, line: bytes, said: str) -> None:
    fake_provider.enqueue(stream(chunk(said), line, Repeat(b"x" * 65_536)))
    answer = ask()
    assert answer.text == said
    assert fake_provider.history[0]["left"].wait(5)
    assert fake_provider.history[0]["sent"] < 16_000_000
    assert answer.finish == "length" if said else type(answer.error) is errors.ProviderInterrupted


def test_an_answer_has_a_maximum_of_bytes(fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.providers.stream_parser.MAX_ANSWER_BYTES", 1_000_000)
    fake_provider.enqueue(stream("one", Repeat(HEARTBEAT * 1000)))
    answer = ask()
    assert (answer.text, answer.finish) == ("one", "length")
    assert fake_provider.history[0]["left"].wait(5)
