"""Any text arrives unchanged, wherever the bytes are cut."""

from __future__ import annotations

import json
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
from tests.completions import ask, request
from tests.fakes import DONE, FakeProvider, chunk, event, stream, usage_chunk

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


def split_surrogates(tokens: list[str]) -> list[bytes]:
    """Chunks that are cut inside the surrogate pairs of the characters beyond the BMP."""
    units = json.dumps("".join(tokens))[1:-1].replace("\\ud", "\0\\ud").split("\0")
    return [chunk("?").replace(b'"?"', b'"' + unit.encode() + b'"') for unit in units]


def parse(data: bytes, cuts: list[int]) -> tuple[str, str, str | None]:
    parser = StreamParser(request(max_output_tokens=100_000))
    events = []
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(edges):
        parser.feed(data[start:end])
        events += parser.take_events()
    parser.end()
    events += parser.take_events() + parser.flush_surrogates()
    text = "".join(event.text for event in events if isinstance(event, Delta))
    reasoning = "".join(event.text for event in events if isinstance(event, Reasoning))
    return text, reasoning, parser.final_reason()


@given(words, words, st.lists(st.integers(0, 10**6), max_size=40), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(["data: [DONE]\n\n", "😀"], ["hm"], [1, 2, 3], "\r\n", True)
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_arrives_unchanged(
    tokens: list[str], reasoning: list[str], cuts: list[int], line_end: str, cut_pairs: bool
) -> None:
    chunks = [chunk(reasoning_content=token) for token in reasoning]
    chunks += split_surrogates(tokens) if cut_pairs else [chunk(token) for token in tokens]
    data = b"".join([*chunks, chunk(finish="stop"), usage_chunk(), DONE]).replace(b"\n", line_end.encode())
    assert parse(data, cuts) == ("".join(tokens), "".join(reasoning), "stop")


@given(words)
@hypothesis_settings(max_examples=30, deadline=None)
def test_any_text_arrives_over_a_socket(tokens: list[str]) -> None:
    with FakeProvider() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.OPENAI_BASE_URL", server.url)
        patch.setattr("django.conf.settings.OPENAI_API_KEY", "test-key")
        data = b"".join([*split_surrogates(tokens), chunk(finish="stop"), DONE])
        server.enqueue(stream(*[data[start : start + 97] for start in range(0, len(data), 97)]))
        answer = ask()
        assert answer.text == "".join(tokens)
        assert answer.finish == "stop" if "".join(tokens) else isinstance(answer.error, errors.EmptyAnswer)


@given(st.binary(max_size=400), st.lists(st.integers(0, 10**6), max_size=10))
@example(b"data: " + b"[" * 5000 + b"\n\n", [])
@example(b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n', [])
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_parsed_or_are_a_provider_error(data: bytes, cuts: list[int]) -> None:
    try:
        tokens, reasoning, _ = parse(b"data: " + data + b"\n\n" + data, cuts)
    except errors.ProviderError:
        return
    (tokens + reasoning).encode()


NAMES = ["choices", "delta", "content", "finish_reason", "usage", "prompt_tokens", "error", "reasoning", "refusal"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(values)
@hypothesis_settings(max_examples=EXAMPLES, deadline=None)
def test_any_json_is_parsed_or_is_a_provider_error(value: Any) -> None:
    try:
        parse(event({"choices": [value]}) + event(value) + event({"choices": [{"delta": value}], "usage": value}), [])
    except errors.ProviderError:
        return
