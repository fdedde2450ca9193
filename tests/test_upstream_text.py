"""Any text arrives as it was said, however the bytes are cut; nothing of it gets into a log."""

from __future__ import annotations

import json
import logging
import os
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat import errors
from chat.events import Delta, Reasoning
from chat.providers.stream_parser import StreamParser
from tests.asking import ask, request
from tests.fakes import DONE, FakeUpstream, chunk, error, event, raw, reset_after, stream, text, usage_chunk

EXAMPLES = 2000 if os.environ.get("SOAK") == "1" else 150
AWKWARD = [
    "data: ",
    "[DONE]",
    "event: error",
    "\n\n",
    "\r\n",
    "\r",
    "\x00",
    "\u2028",
    "👩\u200d🚀",
    "é",
    '"',
    "\\",
    ":",
    " ",
]
words = st.lists(st.one_of(st.text(max_size=12), st.sampled_from(AWKWARD)), max_size=12)


def escaped_halves(tokens: list[str]) -> list[bytes]:
    """Chunks whose characters beyond the BMP are cut between the halves of their surrogate pairs."""
    units = json.dumps("".join(tokens))[1:-1].replace("\\ud", "\0\\ud").split("\0")
    return [chunk("?").replace(b'"?"', b'"' + unit.encode() + b'"') for unit in units]


def read(data: bytes, cuts: list[int]) -> tuple[str, str, str | None]:
    reader = StreamParser(request(max_output_tokens=100_000))
    events = []
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(edges):
        reader.feed(data[start:end])
        events += reader.take()
    reader.end()
    events += reader.take() + reader.take_halves()
    said = "".join(event.text for event in events if isinstance(event, Delta))
    thought = "".join(event.text for event in events if isinstance(event, Reasoning))
    return said, thought, reader.reason()


@given(words, words, st.lists(st.integers(0, 10**6), max_size=40), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(["data: [DONE]\n\n", "😀"], ["hm"], [1, 2, 3], "\r\n", True)
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_arrives_as_it_was_said(
    said: list[str], thought: list[str], cuts: list[int], line_end: str, halves: bool
) -> None:
    chunks = [chunk(reasoning_content=token) for token in thought]
    chunks += escaped_halves(said) if halves else [chunk(token) for token in said]
    data = b"".join([*chunks, chunk(finish="stop"), usage_chunk(), DONE]).replace(b"\n", line_end.encode())
    assert read(data, cuts) == ("".join(said), "".join(thought), "stop")


@given(words)
@hypothesis_settings(max_examples=30, deadline=None)
def test_any_text_arrives_over_a_socket(said: list[str]) -> None:
    with FakeUpstream() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.OPENAI_BASE_URL", server.url)
        patch.setattr("django.conf.settings.OPENAI_API_KEY", "test-key")
        data = b"".join([*escaped_halves(said), chunk(finish="stop"), DONE])
        server.enqueue(stream(*[data[start : start + 97] for start in range(0, len(data), 97)]))
        answer = ask()
        assert answer.text == "".join(said)
        assert answer.finish == "stop" if "".join(said) else isinstance(answer.error, errors.EmptyAnswer)


@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=10))
@example(b"data: " + b"[" * 5000 + b"\n\n", [])
@example(b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n', [])
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_read_or_are_one_of_our_errors(data: bytes, cuts: list[int]) -> None:
    try:
        said, thought, _ = read(b"data: " + data + b"\n\n" + data, cuts)
    except errors.ProviderError:
        return
    (said + thought).encode()


NAMES = ["choices", "delta", "content", "finish_reason", "usage", "prompt_tokens", "error", "reasoning", "refusal"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(values)
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_json_is_read_or_is_one_of_our_errors(value: Any) -> None:
    try:
        read(event({"choices": [value]}) + event(value) + event({"choices": [{"delta": value}], "usage": value}), [])
    except errors.ProviderError:
        return


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_no_log_holds_a_prompt_an_answer_a_key_or_the_providers_words(
    fake_upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, settings: Any, level: int
) -> None:
    settings.OPENAI_API_KEY = "canary-key"
    with caplog.at_level(level):
        for name in ("openai", "openai._base_client", "httpx2", "httpcore2", "aiohttp", "asyncio", "chat"):
            caplog.set_level(level, name)
        fake_upstream.enqueue(
            text("canary-answer", headers={"x-request-id": "canary\x1b[31m"}),
            error(401, message="canary-wording"),
            error(429, message="canary-wording", code="insufficient_quota"),
            error(400, message="canary-wording"),
            raw(b"canary-wording\r\n\r\n"),
            reset_after("canary-answer"),
            stream("canary-answer", event({"error": "canary-wording"})),
            stream("canary-answer", b"data: canary-wording\n\n"),
        )
        answers = [ask("canary-prompt") for _ in range(8)]
    assert len(fake_upstream.history) == 8
    assert [answer.error is None for answer in answers] == [True] + [False] * 7
    assert "canary" not in caplog.text
    assert "\x1b" not in caplog.text
    assert not any("canary" in repr(record.__dict__) for record in caplog.records)
    assert not any("canary" in str(answer.error) for answer in answers)
