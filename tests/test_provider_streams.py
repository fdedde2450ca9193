"""Answers of the provider: which events they become, and how an answer ends."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from chat import errors
from chat.events import Usage
from tests.completions import Answer, ask, collect, request, run
from tests.fakes import (
    DONE,
    FakeProvider,
    Gate,
    bytes_apart,
    chunk,
    close_after,
    event,
    gated,
    reset_after,
    stream,
    text,
    tokens,
    usage_chunk,
)
from tests.waiting import await_until

STOP = chunk(finish="stop")
HEARTBEAT = b": ping\n\n"


def test_an_answer_is_complete_and_in_order(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(text("Hel", "lo", " you", usage=(11, 3), delay=0.01))
    answer = ask()
    assert answer.error is None
    assert answer.text == "Hello you"
    assert answer.usage == Usage(prompt_tokens=11, completion_tokens=3)
    assert answer.finish == "stop"
    assert answer.opened
    assert answer.opened.request_id == "req-fake"
    assert answer.events[0] is answer.opened


def test_text_is_yielded_as_it_arrives(fake_provider: FakeProvider) -> None:
    gate = Gate()
    fake_provider.enqueue(gated(gate))

    async def work() -> Answer:
        answer = Answer()
        task = asyncio.create_task(collect(request(), answer))
        await await_until(lambda: answer.text == "first ")
        gate.open()
        return await task

    assert run(work).text == "first last"


def test_text_of_one_read_is_one_delta(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream(b"".join(chunk(f"{number} ") for number in range(50)) + STOP + DONE))
    answer = ask()
    assert answer.text == "".join(f"{number} " for number in range(50))
    assert len(answer.events) == 3


@pytest.mark.parametrize("cut", [reset_after, close_after])
def test_the_text_before_a_cut_connection_is_kept(fake_provider: FakeProvider, cut: Any) -> None:
    fake_provider.enqueue(cut("one ", "two"))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one two")
    assert len(fake_provider.history) == 1


@pytest.mark.parametrize("end", [b"", DONE, usage_chunk()], ids=["nothing", "done", "usage"])
def test_an_end_without_a_finish_reason_is_an_interruption(fake_provider: FakeProvider, end: bytes) -> None:
    fake_provider.enqueue(stream("one", end))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one")


@pytest.mark.parametrize("last", [STOP, STOP.rstrip(b"\n"), STOP + HEARTBEAT], ids=["plain", "no line end", "comment"])
def test_a_finish_reason_alone_is_a_success(fake_provider: FakeProvider, last: bytes) -> None:
    fake_provider.enqueue(stream("one", last))
    answer = ask()
    assert (answer.text, answer.finish, answer.usage, answer.error) == ("one", "stop", None, None)


def test_a_compressed_stream_is_not_decompressed(fake_provider: FakeProvider) -> None:
    bomb = gzip.compress(chunk("a" * 10_000_000))
    fake_provider.enqueue(
        stream(bomb, headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip, identity"})
    )
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "")


@pytest.mark.parametrize(
    "invalid",
    [b"data: {nonsense}\n\n", b"data: word\n\n", b'data: {"choices": [\n\n', b"data: " + b"[" * 100_000 + b"\n\n"],
)
def test_the_text_before_invalid_json_is_kept(fake_provider: FakeProvider, invalid: bytes) -> None:
    fake_provider.enqueue(stream("one", invalid, "two", STOP, DONE))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one")


def test_the_text_before_an_error_in_the_same_read_is_kept(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream(chunk("one") + event({"error": {"message": "provider wording"}})))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one")


@pytest.mark.parametrize(
    "shape",
    [
        [],
        7,
        None,
        "text",
        {},
        {"choices": None},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [[]]},
        {"choices": [{}]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": []}]},
        {"choices": [{"delta": {"content": 7}}]},
        {"choices": [{"delta": {"content": ["x"]}}]},
        {"choices": [{"delta": {"content": {"x": 1}, "reasoning": 1, "refusal": None}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]},
        {"choices": [{"delta": {}, "finish_reason": None}]},
        {"usage": []},
        {"usage": "x", "choices": []},
        {"error": None},
    ],
)
def test_chunks_of_an_unknown_shape_are_skipped(fake_provider: FakeProvider, shape: object) -> None:
    fake_provider.enqueue(stream("one ", event(shape), "two", STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish, answer.reasoning) == ("one two", "stop", "")


@pytest.mark.parametrize(
    "line", [b"\n", b"data:\n", b"data\n", b"id: 7\n", b"retry: 1\n", b"event: message\n", b"\xef\xbb\xbf\n", b": x\n"]
)
def test_other_lines_are_skipped(fake_provider: FakeProvider, line: bytes) -> None:
    fake_provider.enqueue(stream("one ", line, "two", STOP, DONE))
    assert ask().text == "one two"


def test_invalid_utf8_becomes_the_replacement_character(fake_provider: FakeProvider) -> None:
    bad = chunk("a?b").replace(b"?", b"\xff")
    fake_provider.enqueue(stream("one ", bad, STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish) == ("one a\ufffdb", "stop")


SURROGATES = [
    ([r"\ud83d\ude00"], "😀"),
    ([r"a\ud83d", r"\ude00b"], "a😀b"),
    ([r"\ud83d", "", r"\ude00"], "😀"),
    ([r"\ud83d"], "\ufffd"),
    ([r"\ud83d", "x"], "\ufffdx"),
    ([r"\ude00"], "\ufffd"),
    ([r"\ud83d", r"\ud83d\ude00"], "\ufffd😀"),
    ([r"\u0000"], "\x00"),
]


def escaped(pieces: list[str]) -> list[bytes]:
    return [chunk("?").replace(b"?", piece.encode()) for piece in pieces]


@pytest.mark.parametrize(("pieces", "expected"), SURROGATES)
def test_surrogate_pairs_are_joined_within_a_read(
    fake_provider: FakeProvider, pieces: list[str], expected: str
) -> None:
    fake_provider.enqueue(stream(b"".join([*escaped(pieces), STOP, DONE])))
    assert ask().text == expected


@pytest.mark.parametrize(("pieces", "expected"), SURROGATES)
def test_surrogate_pairs_are_joined_across_reads(fake_provider: FakeProvider, pieces: list[str], expected: str) -> None:
    fake_provider.enqueue(stream(*[part for each in escaped(pieces) for part in (each, 0.01)], STOP, DONE))
    assert ask().text == expected


@pytest.mark.parametrize(
    "bad",
    [
        event({"error": {"message": "provider wording", "code": 500}}),
        event({"error": "provider wording"}),
        event({"object": "error", "message": "provider wording", "code": 400}),
        event({"detail": "provider wording"}),
        b"event: error\n" + event({"message": "provider wording"}),
        b"event: error\n" + event("provider wording"),
        b'error: {"code": 500, "message": "provider wording"}\n\n',
        chunk(finish="error"),
    ],
)
def test_an_error_event_interrupts_the_answer(fake_provider: FakeProvider, bad: bytes) -> None:
    fake_provider.enqueue(stream("one", 0.01, bad, "two", STOP, DONE))
    answer = ask()
    assert (answer.interrupted, answer.text) == (True, "one")
    assert "wording" not in str(answer.error)


def test_an_error_event_may_say_that_the_prompt_is_too_long(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream(event({"error": {"code": "context_length_exceeded"}})))
    assert type(ask().error) is errors.ContextTooLong


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("tool_calls", "stop"),
        (True, "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "refusal"),
    ],
)
def test_each_finish_reason_of_the_provider_has_one_of_ours(
    fake_provider: FakeProvider, given: Any, expected: str
) -> None:
    fake_provider.enqueue(text("one", finish=given))
    assert ask().finish == expected


def test_a_refusal_is_shown_as_text(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream(chunk(refusal="I can"), chunk(refusal="not."), STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish) == ("I cannot.", "refusal")


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "length"])
def test_an_answer_without_text_is_an_error_with_its_usage(fake_provider: FakeProvider, finish: str) -> None:
    fake_provider.enqueue(text(finish=finish, usage=(9, 4)))
    answer = ask()
    assert type(answer.error) is errors.EmptyAnswer
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=4)


def test_a_filtered_answer_may_have_no_text(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(text(finish="content_filter"))
    answer = ask()
    assert (answer.finish, answer.error) == ("content_filter", None)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_separate_from_the_text(fake_provider: FakeProvider, name: str) -> None:
    mixed = [chunk(**{name: "hm "}), chunk(**{name: "so"}), chunk("one "), chunk(**{name: "?"}), chunk("two")]
    fake_provider.enqueue(stream(b"".join(mixed), STOP, DONE))
    answer = ask()
    assert (answer.reasoning, answer.text) == ("hm so?", "one two")
    assert [type(event).__name__ for event in answer.events[1:5]] == ["Reasoning", "Delta", "Reasoning", "Delta"]


def test_concurrent_answers_are_not_mixed_up(fake_provider: FakeProvider) -> None:
    async def work() -> list[Answer]:
        return await asyncio.gather(*[collect(request(f"question {number}")) for number in range(100)])

    assert [answer.text for answer in run(work)] == [f"question {number} " for number in range(100)]


def test_all_tokens_of_concurrent_answers_arrive(fake_provider: FakeProvider) -> None:
    fake_provider.always(tokens(30, 0.005))

    async def work() -> list[Answer]:
        return await asyncio.gather(*[collect(request()) for _ in range(50)])

    whole = "".join(f"word{number} " for number in range(30))
    assert all(answer.text == whole and answer.usage for answer in run(work))


def test_a_stream_in_small_pieces_is_the_same_answer(fake_provider: FakeProvider) -> None:
    data = b"".join([chunk("Grüße, "), HEARTBEAT, chunk("日本 👩‍🚀"), STOP, usage_chunk(5, 6), DONE])
    fake_provider.enqueue(stream(*bytes_apart(data)), stream(*bytes_apart(data.replace(b"\n", b"\r\n"), 7)))
    for _ in range(2):
        answer = ask()
        assert (answer.text, answer.finish) == ("Grüße, 日本 👩‍🚀", "stop")
        assert answer.usage


def test_a_chunk_over_several_data_lines_is_one_chunk(fake_provider: FakeProvider) -> None:
    pretty = json.dumps(json.loads(chunk("two")[6:]), indent=1).replace("\n", "\ndata: ")
    fake_provider.enqueue(stream("one ", f"data: {pretty}\n\n".encode(), STOP, DONE))
    assert ask().text == "one two"


def test_an_empty_event_stream_is_an_empty_answer(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(stream())
    assert type(ask().error) is errors.EmptyAnswer
