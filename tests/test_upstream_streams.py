"""Answers that begin well: what is kept of them, how they end, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import threading
import time
from typing import Any

import pytest

from chat import errors
from chat.events import Usage
from chat.providers import completion
from chat.providers import request as requests
from chat.providers.timeouts import AnswerTimeouts
from tests.asking import Answer, ask, collect, request, run
from tests.fakes import (
    DONE,
    FakeUpstream,
    Gate,
    Hang,
    Repeat,
    Reset,
    Script,
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

STOP = chunk(finish="stop")
HEARTBEAT = b": ping\n\n"
EMPTY_DELTA = chunk("")


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = settings.CHAT_STALL_TIMEOUT = settings.CHAT_ANSWER_TIMEOUT = 60
    requests._turned_down.clear()


def broken(answer: Answer, kept: str) -> bool:
    return type(answer.error) is errors.ProviderInterrupted and answer.text == kept and answer.finish is None


def test_an_answer_arrives_whole_and_in_order(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(text("Hel", "lo", " you", usage=(11, 3), delay=0.01))
    answer = ask()
    assert answer.error is None
    assert answer.text == "Hello you"
    assert answer.usage == Usage(prompt_tokens=11, completion_tokens=3)
    assert answer.finish == "stop"
    assert answer.opened
    assert answer.opened.request_id == "req-fake"
    assert answer.events[0] is answer.opened


def test_the_first_words_do_not_wait_for_the_last(fake_upstream: FakeUpstream) -> None:
    gate = Gate()
    fake_upstream.enqueue(gated(gate))

    async def work() -> Answer:
        answer = Answer()
        task = asyncio.create_task(collect(request(), answer))
        while answer.text != "first ":
            await asyncio.sleep(0.005)
        gate.open()
        return await task

    assert run(work).text == "first last"


def test_what_one_read_brings_is_one_delta(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream(b"".join(chunk(f"{number} ") for number in range(50)) + STOP + DONE))
    answer = ask()
    assert answer.text == "".join(f"{number} " for number in range(50))
    assert len(answer.events) == 3


@pytest.mark.parametrize("cut", [reset_after, close_after])
def test_a_cut_keeps_exactly_the_words_received(fake_upstream: FakeUpstream, cut: Any) -> None:
    fake_upstream.enqueue(cut("one ", "two"))
    assert broken(ask(), "one two")
    assert len(fake_upstream.history) == 1


@pytest.mark.parametrize("end", [b"", DONE, usage_chunk()], ids=["nothing", "done", "usage"])
def test_an_end_without_a_reason_is_no_success(fake_upstream: FakeUpstream, end: bytes) -> None:
    fake_upstream.enqueue(stream("one", end))
    assert broken(ask(), "one")


def test_done_without_a_reason_waits_for_nothing(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream("one", DONE, Hang()))
    assert broken(ask(), "one")


@pytest.mark.parametrize("last", [STOP, STOP.rstrip(b"\n"), STOP + HEARTBEAT], ids=["plain", "no line end", "comment"])
def test_a_reason_alone_is_a_success(fake_upstream: FakeUpstream, last: bytes) -> None:
    fake_upstream.enqueue(stream("one", last))
    answer = ask()
    assert (answer.text, answer.finish, answer.usage, answer.error) == ("one", "stop", None, None)


@pytest.mark.parametrize(
    "silence",
    [Hang(), Repeat(HEARTBEAT, 0.01), Repeat(EMPTY_DELTA, 0.01), Repeat(HEARTBEAT * 500), Repeat(usage_chunk(), 0.01)],
    ids=["silence", "comments", "empty deltas", "a flood of comments", "usage"],
)
def test_a_stall_ends_at_the_gap_clock(fake_upstream: FakeUpstream, settings: Any, silence: Any) -> None:
    settings.CHAT_STALL_TIMEOUT = 0.2
    fake_upstream.enqueue(stream("one", silence))
    answer = ask()
    assert type(answer.error) is errors.ProviderTimeout
    assert answer.text == "one"
    assert answer.seconds < 30, "another clock ended it"
    assert fake_upstream.history[0]["left"].wait(5)


def test_words_restart_the_gap_clock(fake_upstream: FakeUpstream, settings: Any) -> None:
    settings.CHAT_FIRST_TOKEN_TIMEOUT = settings.CHAT_STALL_TIMEOUT = 0.4
    fake_upstream.enqueue(text(*"abcdef", delay=0.15, reasoning="uvwxyz"))
    answer = ask()
    assert (answer.text, answer.reasoning, answer.finish) == ("abcdef", "uvwxyz", "stop")


def test_a_slow_reader_does_not_trip_the_clocks(fake_upstream: FakeUpstream, settings: Any) -> None:
    settings.CHAT_STALL_TIMEOUT = 0.1
    fake_upstream.enqueue(stream("one ", 0.05, "two ", STOP, DONE))

    async def work() -> str:
        said = ""
        async for events in completion.stream_completion(request()):
            said += "".join(getattr(event, "text", "") for event in events)
            await asyncio.sleep(0.3)
        return said

    assert run(work) == "one two "


def test_a_trickle_without_end_is_cut_at_the_whole_answer_clock(fake_upstream: FakeUpstream, settings: Any) -> None:
    settings.CHAT_ANSWER_TIMEOUT = 0.3
    fake_upstream.enqueue(stream(Repeat(chunk("word "), 0.02)))
    answer = ask()
    assert answer.error is None
    assert answer.finish == "length"
    assert answer.text.startswith("word word ")
    assert fake_upstream.history[0]["left"].wait(5)


def test_reasoning_without_end_is_a_time_out(fake_upstream: FakeUpstream, settings: Any) -> None:
    settings.CHAT_ANSWER_TIMEOUT = 0.3
    fake_upstream.enqueue(stream(Repeat(chunk(reasoning="hm "), 0.02)))
    answer = ask()
    assert type(answer.error) is errors.ProviderTimeout
    assert answer.reasoning.startswith("hm hm ")


def test_a_server_that_ignores_the_cap_is_cut(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream(Repeat(chunk("word " * 100))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = ask(max_output_tokens=1000)
    assert answer.finish == "length"
    assert 10_000 < len(answer.text) < 50_000
    assert fake_upstream.history[0]["left"].wait(5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_an_answer_at_its_cap_is_not_cut_by_us(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(text(*["wordword"] * 1000, usage=(10, 1000), finish="length"))
    answer = ask(max_output_tokens=1000)
    assert len(answer.text) == 8000
    assert answer.usage == Usage(prompt_tokens=10, completion_tokens=1000)


@pytest.mark.parametrize("said", ["", "one"])
@pytest.mark.parametrize(
    "monster",
    [chunk("x" * 10_000_000), b"data: {", b": "],
    ids=["a huge event", "an endless line", "an endless comment"],
)
def test_a_line_without_measure_is_cut(fake_upstream: FakeUpstream, monster: bytes, said: str) -> None:
    fake_upstream.enqueue(stream(chunk(said), monster, Repeat(b"x" * 65_536)))
    answer = ask()
    assert answer.text == said
    assert fake_upstream.history[0]["left"].wait(5)
    assert fake_upstream.history[0]["sent"] < 16_000_000
    assert answer.finish == "length" if said else type(answer.error) is errors.ProviderInterrupted


def test_an_answer_has_a_limit_in_bytes(fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.providers.stream_parser.ANSWER_LIMIT", 1_000_000)
    fake_upstream.enqueue(stream("one", Repeat(HEARTBEAT * 1000)))
    answer = ask()
    assert (answer.text, answer.finish) == ("one", "length")
    assert fake_upstream.history[0]["left"].wait(5)


def test_a_bomb_is_not_unpacked(fake_upstream: FakeUpstream) -> None:
    bomb = gzip.compress(chunk("a" * 10_000_000))
    fake_upstream.enqueue(
        stream(bomb, headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip, identity"})
    )
    assert broken(ask(), "")


@pytest.mark.parametrize(
    "rubbish",
    [b"data: {nonsense}\n\n", b"data: word\n\n", b'data: {"choices": [\n\n', b"data: " + b"[" * 100_000 + b"\n\n"],
)
def test_broken_json_keeps_the_text_so_far(fake_upstream: FakeUpstream, rubbish: bytes) -> None:
    fake_upstream.enqueue(stream("one", rubbish, "two", STOP, DONE))
    assert broken(ask(), "one")


def test_the_words_before_an_error_in_the_same_read_are_kept(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream(chunk("one") + event({"error": {"message": "upstream wording"}})))
    assert broken(ask(), "one")


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
def test_wrong_shapes_are_skipped(fake_upstream: FakeUpstream, shape: object) -> None:
    fake_upstream.enqueue(stream("one ", event(shape), "two", STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish, answer.reasoning) == ("one two", "stop", "")


@pytest.mark.parametrize(
    "line", [b"\n", b"data:\n", b"data\n", b"id: 7\n", b"retry: 1\n", b"event: message\n", b"\xef\xbb\xbf\n", b": x\n"]
)
def test_other_lines_are_skipped(fake_upstream: FakeUpstream, line: bytes) -> None:
    fake_upstream.enqueue(stream("one ", line, "two", STOP, DONE))
    assert ask().text == "one two"


def test_invalid_utf8_becomes_the_replacement_character(fake_upstream: FakeUpstream) -> None:
    bad = chunk("a?b").replace(b"?", b"\xff")
    fake_upstream.enqueue(stream("one ", bad, STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish) == ("one a\ufffdb", "stop")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([r"\ud83d\ude00"], "😀"),
        ([r"a\ud83d", r"\ude00b"], "a😀b"),
        ([r"\ud83d", "", r"\ude00"], "😀"),
        ([r"\ud83d"], "\ufffd"),
        ([r"\ud83d", "x"], "\ufffdx"),
        ([r"\ude00"], "\ufffd"),
        ([r"\ud83d", r"\ud83d\ude00"], "\ufffd😀"),
        ([r"\u0000"], "\x00"),
    ],
)
def test_halves_of_characters_wait_for_their_mates(
    fake_upstream: FakeUpstream, pieces: list[str], expected: str
) -> None:
    escaped = [chunk("?").replace(b"?", piece.encode()) for piece in pieces]
    fake_upstream.enqueue(stream(*escaped, STOP, DONE))
    assert ask().text == expected
    fake_upstream.enqueue(stream(*[part for each in escaped for part in (each, 0.01)], STOP, DONE))
    assert ask().text == expected


@pytest.mark.parametrize(
    "bad",
    [
        event({"error": {"message": "upstream wording", "code": 500}}),
        event({"error": "upstream wording"}),
        event({"object": "error", "message": "upstream wording", "code": 400}),
        event({"detail": "upstream wording"}),
        b"event: error\n" + event({"message": "upstream wording"}),
        b"event: error\n" + event("upstream wording"),
        b'error: {"code": 500, "message": "upstream wording"}\n\n',
        chunk(finish="error"),
    ],
)
def test_an_error_event_breaks_the_answer_off(fake_upstream: FakeUpstream, bad: bytes) -> None:
    fake_upstream.enqueue(stream("one", 0.01, bad, "two", STOP, DONE))
    answer = ask()
    assert broken(answer, "one")
    assert "wording" not in str(answer.error)


def test_an_error_event_may_say_that_the_prompt_is_too_long(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream(event({"error": {"code": "context_length_exceeded"}})))
    assert type(ask().error) is errors.ContextTooLong


@pytest.mark.parametrize(
    "late", [Reset(), Hang(), Repeat(HEARTBEAT, 0.05), event({"error": "x"}), b"data: {nonsense}\n\n"]
)
def test_nothing_after_the_reason_is_an_error(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, late: Any
) -> None:
    monkeypatch.setattr(completion, "LATE_USAGE", 0.2)
    fake_upstream.enqueue(stream("one", STOP, 0.02, late))
    answer = ask()
    assert (answer.text, answer.finish, answer.error) == ("one", "stop", None)


def test_late_usage_is_waited_for(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream("one", STOP, 0.3, usage_chunk(7, 1), DONE))
    assert ask().usage == Usage(prompt_tokens=7, completion_tokens=1)


def test_a_connection_held_open_after_the_end_holds_nobody(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "LATE_USAGE", 60)
    fake_upstream.enqueue(stream("one", STOP, DONE, Hang()))
    assert ask().finish == "stop"
    assert fake_upstream.history[0]["left"].wait(5)


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
def test_usage_is_counted_once_or_not_at_all(
    fake_upstream: FakeUpstream, chunks: list[bytes], expected: tuple[int, int] | None
) -> None:
    fake_upstream.enqueue(stream(*chunks, DONE))
    usage = ask().usage
    assert (usage and (usage.prompt_tokens, usage.completion_tokens)) == expected


def test_usage_on_the_last_choice_counts(fake_upstream: FakeUpstream) -> None:
    last = {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 4, "completion_tokens": 2}}]}
    fake_upstream.enqueue(stream("one", event(last)))
    assert ask().usage == Usage(prompt_tokens=4, completion_tokens=2)


@pytest.mark.parametrize(("cached", "thought"), [(3, 2), (99, 99), (-1, -1), ("3", None), (True, 1.5)])
def test_details_of_usage_are_taken_where_they_fit(fake_upstream: FakeUpstream, cached: Any, thought: Any) -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    fake_upstream.enqueue(stream("one", STOP, usage_chunk(9, 4, **details), DONE))
    fits = (cached, thought) == (3, 2)
    assert ask().usage == Usage(
        prompt_tokens=9, completion_tokens=4, cached_tokens=3 if fits else 0, reasoning_tokens=2 if fits else 0
    )


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
def test_the_reason_decides_how_it_ended(fake_upstream: FakeUpstream, given: Any, expected: str) -> None:
    fake_upstream.enqueue(text("one", finish=given))
    assert ask().finish == expected


def test_a_refusal_is_shown_as_text(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(stream(chunk(refusal="I can"), chunk(refusal="not."), STOP, DONE))
    answer = ask()
    assert (answer.text, answer.finish) == ("I cannot.", "refusal")


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "length"])
def test_an_answer_without_a_word_is_an_error_with_its_usage(fake_upstream: FakeUpstream, finish: str) -> None:
    fake_upstream.enqueue(text(finish=finish, usage=(9, 4)))
    answer = ask()
    assert type(answer.error) is errors.EmptyAnswer
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=4)


def test_a_filter_may_leave_no_word(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(text(finish="content_filter"))
    answer = ask()
    assert (answer.finish, answer.error) == ("content_filter", None)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_comes_apart_from_the_text(fake_upstream: FakeUpstream, name: str) -> None:
    mixed = [chunk(**{name: "hm "}), chunk(**{name: "so"}), chunk("one "), chunk(**{name: "?"}), chunk("two")]
    fake_upstream.enqueue(stream(b"".join(mixed), STOP, DONE))
    answer = ask()
    assert (answer.reasoning, answer.text) == ("hm so?", "one two")
    assert [type(event).__name__ for event in answer.events[1:5]] == ["Reasoning", "Delta", "Reasoning", "Delta"]


@pytest.mark.parametrize("stop", ["cancel", "close"])
def test_stopping_closes_the_upstream(fake_upstream: FakeUpstream, stop: str) -> None:
    gate = Gate()
    fake_upstream.enqueue(stream("one", gate))

    async def work() -> None:
        stream_of_events = completion.stream_completion(request())
        await anext(stream_of_events)
        await anext(stream_of_events)
        if stop == "close":
            await stream_of_events.aclose()
            return
        task = asyncio.ensure_future(anext(stream_of_events))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def and_look() -> None:
        await work()
        assert await asyncio.to_thread(fake_upstream.history[0]["left"].wait, 5)

    run(and_look)
    gate.open()


def test_stopping_before_the_headers_closes_the_upstream(fake_upstream: FakeUpstream) -> None:
    fake_upstream.enqueue(Script([], before_head=(Hang(),)))

    async def work() -> None:
        task = asyncio.create_task(collect(request()))
        while not fake_upstream.history:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(fake_upstream.history[0]["left"].wait, 5)

    run(work)


def test_a_cancel_at_the_moment_of_the_clock_stays_a_cancel(fake_upstream: FakeUpstream) -> None:
    async def both_at_once() -> tuple[int, int]:
        clock = AnswerTimeouts()
        clock.at_most(0.05)
        task = asyncio.create_task(clock.wait(asyncio.sleep(60)))
        await asyncio.sleep(0.01)
        time.sleep(0.1)  # both are due in the same turn of the loop now
        asyncio.get_running_loop().call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled(), task.cancelling()

    assert asyncio.run(both_at_once()) == (True, 1)


def test_a_clock_that_rang_leaves_its_task_uncancelled(fake_upstream: FakeUpstream) -> None:
    async def work() -> int:
        clock = AnswerTimeouts()
        clock.at_most(0.01)
        with pytest.raises(TimeoutError):
            await clock.wait(asyncio.sleep(60))
        return asyncio.current_task().cancelling()  # type: ignore[union-attr]

    assert asyncio.run(work()) == 0


def test_the_connection_is_kept_for_the_next_answer(fake_upstream: FakeUpstream) -> None:
    async def work() -> int:
        for _ in range(5):
            await collect(request())
        return fake_upstream.open_connections

    assert run(work) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_cookies_of_one_answer_do_not_come_back_with_the_next(
    fake_upstream: FakeUpstream, settings: Any, host: str
) -> None:
    settings.OPENAI_BASE_URL = fake_upstream.url.replace("127.0.0.1", host)
    fake_upstream.enqueue(text("one", headers={"Set-Cookie": "who=alice; Path=/"}), text("two"))

    async def work() -> None:
        await collect(request())
        await collect(request())

    run(work)
    assert "cookie" not in fake_upstream.history[1]["headers"]


def test_each_loop_has_a_client_of_its_own(fake_upstream: FakeUpstream) -> None:
    assert [ask(word).text for word in ("one", "two")] == ["one ", "two "]
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask("hi").text)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["hi "] * 3


def test_a_compatible_server_gets_no_field_that_only_openai_knows(fake_upstream: FakeUpstream) -> None:
    ask(safety="person-1", max_output_tokens=77)
    sent = fake_upstream.history[0]
    assert set(sent["json"]) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert sent["json"]["max_tokens"] == 77
    assert sent["headers"]["accept-encoding"] == "identity"
    assert sent["headers"]["authorization"] == "Bearer test-key"
    assert not [name for name in sent["headers"] if name.startswith("x-stainless")], "what tells of this machine"


@pytest.mark.parametrize("base_url", ["", "https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_gets_its_own_fields(base_url: str) -> None:
    fields = requests.body(request(safety="person-1", max_output_tokens=77), base_url, frozenset())
    assert fields["max_completion_tokens"] == 77
    assert fields["safety_identifier"] == "person-1"
    assert fields["store"] is False
    assert "max_tokens" not in fields


def test_many_answers_at_once_do_not_mix(fake_upstream: FakeUpstream) -> None:
    async def work() -> list[Answer]:
        return await asyncio.gather(*[collect(request(f"question {number}")) for number in range(100)])

    assert [answer.text for answer in run(work)] == [f"question {number} " for number in range(100)]


def test_paced_tokens_arrive_all(fake_upstream: FakeUpstream) -> None:
    fake_upstream.always(tokens(30, 0.005))

    async def work() -> list[Answer]:
        return await asyncio.gather(*[collect(request()) for _ in range(50)])

    whole = "".join(f"word{number} " for number in range(30))
    assert all(answer.text == whole and answer.usage for answer in run(work))


def test_a_stream_in_single_bytes_arrives_the_same(fake_upstream: FakeUpstream) -> None:
    data = b"".join([chunk("Grüße, "), HEARTBEAT, chunk("日本 👩‍🚀"), STOP, usage_chunk(5, 6), DONE])
    fake_upstream.enqueue(stream(*bytes_apart(data)), stream(*bytes_apart(data.replace(b"\n", b"\r\n"), 7)))
    for _ in range(2):
        answer = ask()
        assert (answer.text, answer.finish) == ("Grüße, 日本 👩‍🚀", "stop")
        assert answer.usage


def test_a_chunk_over_several_data_lines_is_one_chunk(fake_upstream: FakeUpstream) -> None:
    pretty = json.dumps(json.loads(chunk("two")[6:]), indent=1).replace("\n", "\ndata: ")
    fake_upstream.enqueue(stream("one ", f"data: {pretty}\n\n".encode(), STOP, DONE))
    assert ask().text == "one two"
