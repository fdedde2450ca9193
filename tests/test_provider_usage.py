"""The token counts of the provider."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.events import Usage
from tests.completions import ask
from tests.fakes import DONE, FakeProvider, chunk, event, stream, usage_chunk

STOP = chunk(finish="stop")


def on_chunk(content: str, prompt: object, completion_tokens: object) -> bytes:
    value = json.loads(chunk(content)[6:])
    return event({**value, "usage": {"prompt_tokens": prompt, "completion_tokens": completion_tokens}})


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk("one"), STOP], None),
        ([on_chunk("one", 9, 1), on_chunk("two", 9, 2), STOP, usage_chunk(9, 3)], (9, 3)),
        ([chunk("one"), STOP, usage_chunk(9, 3), usage_chunk(9, 3)], (9, 3)),
        ([chunk("one"), STOP, usage_chunk(9, 3), usage_chunk(-1, 3)], (9, 3)),
        ([chunk("one"), on_chunk("", 9, 3), STOP], (9, 3)),
        ([chunk("one"), STOP, usage_chunk(9, 0)], None),
        ([chunk("one"), STOP, usage_chunk(0, 3)], None),
        ([chunk("one"), STOP, usage_chunk(9, 999_999_999)], None),
        ([chunk("one"), STOP, usage_chunk(999_999_999, 3)], None),
        ([chunk("one"), STOP, usage_chunk(9, -3)], None),
        ([chunk("one"), STOP, usage_chunk(9, 10**400)], None),
        ([chunk("x" * 5000), STOP, usage_chunk(9, 1)], None),
        ([chunk("one"), STOP, on_chunk("", "9", 3.5)], None),
        ([chunk("one"), STOP, on_chunk("", True, True)], None),
        ([chunk("one"), STOP, on_chunk("", None, None)], None),
    ],
)
def test_the_last_plausible_usage_counts(
    fake_provider: FakeProvider, chunks: list[bytes], expected: tuple[int, int] | None
) -> None:
    fake_provider.enqueue(stream(*chunks, DONE))
    usage = ask().usage
    assert (usage and (usage.prompt_tokens, usage.completion_tokens)) == expected


def test_usage_may_be_inside_the_last_choice(fake_provider: FakeProvider) -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 4, "completion_tokens": 2}}]}
    fake_provider.enqueue(stream("one", event(last)))
    assert ask().usage == Usage(prompt_tokens=4, completion_tokens=2)


@pytest.mark.parametrize(("cached", "thought"), [(3, 2), (99, 99), (-1, -1), ("3", None), (True, 1.5)])
def test_implausible_details_of_usage_count_as_0(fake_provider: FakeProvider, cached: Any, thought: Any) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    fake_provider.enqueue(stream("one", STOP, usage_chunk(9, 4, **details), DONE))
    fits = (cached, thought) == (3, 2)
    assert ask().usage == Usage(
        prompt_tokens=9, completion_tokens=4, cached_tokens=3 if fits else 0, reasoning_tokens=2 if fits else 0
    )
