"""Other parsers read any text from every encoder unchanged, and an interrupted answer never looks complete."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat import errors
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage
from chat.limits.messages import Violation
from chat.limits.values import Rule
from chat.streaming.encoders import API_PROTOCOLS, encoder_for
from chat.streaming.error_bodies import body

with pytest.MonkeyPatch.context() as patch:
    # httpx-sse was written for httpx, whose successor has the same interface.
    patch.setitem(sys.modules, "httpx", httpx2)
    import httpx_sse

EXAMPLES = 5000 if os.environ.get("SOAK") == "1" else 150
STARTED = Started(message_id="m-1", model="gpt-4o-mini")
USAGE = Usage(prompt_tokens=3, completion_tokens=5, cached_tokens=1, reasoning_tokens=2)
COMPLETE = Finished(status="complete", usage=USAGE)
INTERRUPTED = Failed(status="interrupted", code="upstream-busy", message="The service is busy.", retry_after=7)

# What `trim()` removes in JavaScript.
BLANKS = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
TRAPS = ["[DONE]", "[DO", "NE]", "data: ", "data:", "event: x", "id: 9", ":", "\r", "\n", "\r\n", " ", "\ufeff", "\x85"]
TRAPS += ["\u2028", "😀", "</script>", '{"delta":"', '0:"', "\\n", "é", "\x00", "\x1e", "null", '"', "ab", "word"]

pieces = st.lists(st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=25)
cuts = st.lists(st.integers(1, 4), min_size=1, max_size=6)


def log(texts: Sequence[str], end: LogEvent = COMPLETE) -> list[LogEvent]:
    return [STARTED, *[Delta(text=text) for text in texts], end]


def frames(protocol: str, events: Sequence[LogEvent], sizes: Sequence[int] = (1,), after: int = 0) -> Iterator[bytes]:
    """What a reader is sent that takes `sizes` events at a time, with a heartbeat between them."""
    encoder = encoder_for(protocol, after=after)
    yield encoder.open()
    position = step = 0
    while position < len(events):
        size = sizes[step % len(sizes)]
        yield encoder.encode(events[position : position + size])
        position, step = position + size, step + 1
        if position < len(events):
            yield encoder.heartbeat


def sent(protocol: str, events: Sequence[LogEvent], sizes: Sequence[int] = (1,), after: int = 0) -> bytes:
    return b"".join(frames(protocol, events, sizes, after))


def by_httpx2(data: bytes) -> list:
    return list(httpx2.EventSource(response(data)))


def by_httpx_sse(data: bytes) -> list:
    return list(httpx_sse.EventSource(response(data)).iter_sse())


def response(data: bytes) -> httpx2.Response:
    request = httpx2.Request("GET", "http://chat.test/")
    return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=data, request=request)


def by_tutorial(data: bytes) -> tuple[str, bool]:
    """Splits on LF, trims, stops at `[DONE]`."""
    text = ""
    for line in data.decode().split("\n"):
        if line.startswith("data: "):
            piece = line.removeprefix("data: ").strip(BLANKS)
            if piece == "[DONE]":
                return text, True
            text += piece
    return text, False


def with_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("parse", [by_httpx2, by_httpx_sse])
@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts)
@example(["a\r", "\nb"], [1])
@example(["[DONE]"], [1])
@example(["  x", "  "], [1])
@example([" " * 600 + "\r", "\n"], [1])
def test_a_conforming_parser_reads_any_text_from_sse(parse: Callable, texts, sizes):
    *events, last = parse(sent("sse", log(texts), sizes))
    assert last.data == "[DONE]"
    assert "[DONE]" not in [event.data for event in events]
    assert "".join(event.data for event in events) == with_lf("".join(texts))


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts)
@example(["Hello", " ", "world", "\ufeff", "!"], [1])
@example(["a", " b", " c"], [1])
@example(["x\n[DONE]\ny"], [1])
def test_a_parser_that_trims_loses_only_blanks_around_line_ends(texts, sizes):
    text = "".join(texts)
    expected = "".join(line.strip(BLANKS) for line in with_lf(text).split("\n"))
    assert by_tutorial(sent("sse", log(texts), sizes)) == (expected, True)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts)
def test_sse_json_carries_any_text_unchanged(texts, sizes):
    data = sent("sse-json", log(texts), sizes)
    for parse in (by_httpx2, by_httpx_sse):
        *events, last = parse(data)
        assert last.data == "[DONE]"
        assert "".join(json.loads(event.data)["delta"] for event in events) == "".join(texts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts, cuts, st.integers(0, 30))
def test_a_client_that_resumes_gets_the_rest_once(texts, sizes, other_sizes, lost_after):
    for protocol in ("sse", "sse-json"):
        seen = by_httpx2(sent(protocol, log(texts), sizes))[:-1][:lost_after]
        after = int(seen[-1].id) if seen else 0
        rest = by_httpx2(sent(protocol, log(["".join(texts)]), other_sizes, after))[:-1]
        read = [event.data if protocol == "sse" else json.loads(event.data)["delta"] for event in [*seen, *rest]]
        whole = "".join(texts)
        assert "".join(read) == (with_lf(whole) if protocol == "sse" else whole)


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts)
@example(["", "\ufeff", "\ufeffa"], [1])
def test_plain_text_and_data_lines_carry_any_text_unchanged(texts, sizes):
    whole = "".join(texts)
    assert sent("text", log(texts), sizes).decode("utf-8-sig") == whole
    lines = sent("data", log(texts), sizes).decode().split("\n")
    assert lines.pop() == ""
    codes = [(code, json.loads(value)) for code, value in (line.split(":", 1) for line in lines)]
    assert "".join(value for code, value in codes if code == "0") == whole
    assert {code for code, _ in codes} <= {"0", "8"}


@settings(max_examples=EXAMPLES, deadline=None)
@given(pieces, cuts)
def test_every_write_of_data_lines_ends_in_a_line_end(texts, sizes):
    for end in (COMPLETE, INTERRUPTED):
        assert all(frame.endswith(b"\n") for frame in frames("data", log(texts, end), sizes) if frame)


def ui_parts(data: bytes) -> list[dict]:
    """The parts, checked for an order that no client rejects."""
    events = by_httpx2(data)
    if events[-1].data == "[DONE]":
        events.pop()
    parts = [json.loads(event.data) for event in events]
    opened: dict[str, str] = {}
    for part in parts:
        kind, _, action = part["type"].partition("-")
        if kind in ("text", "reasoning"):
            if action == "start":
                assert part["id"] not in opened
                opened[part["id"]] = kind
            else:
                assert opened[part["id"]] == kind
            if action == "end":
                opened[part["id"]] = "closed"
    assert parts[0]["type"] == "start"
    return parts


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(TRAPS) | st.text(max_size=5)), max_size=20), cuts)
def test_ui_messages_carry_text_and_reasoning_separately(said, sizes):
    events = [Reasoning(text=text) if thought else Delta(text=text) for thought, text in said]
    parts = ui_parts(sent("ui", [STARTED, *events, COMPLETE], sizes))
    for kind, thought in (("text", False), ("reasoning", True)):
        read = "".join(part["delta"] for part in parts if part["type"] == f"{kind}-delta")
        assert read == "".join(text for was, text in said if was is thought)
        starts, ends = ([p["id"] for p in parts if p["type"] == f"{kind}-{edge}"] for edge in ("start", "end"))
        assert starts == ends
    assert [part["type"] for part in parts[-2:]] == ["finish-step", "finish"]


@pytest.mark.parametrize("protocol", ["text", "sse", "sse-json", "data"])
def test_reasoning_is_not_part_of_the_answer_in_other_protocols(protocol):
    assert b"secret" not in sent(protocol, [STARTED, Reasoning(text="secret"), Delta(text="hi"), COMPLETE])


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("complete", "stop"),
        ("truncated", "length"),
        ("filtered", "content-filter"),
        ("refused", "other"),
        ("stopped", "other"),
    ],
)
def test_ui_messages_end_with_a_reason_that_every_client_knows(status, reason):
    finish = ui_parts(sent("ui", log(["hi"], Finished(status=status, usage=USAGE))))[-1]
    assert finish["finishReason"] == reason
    assert finish["messageMetadata"]["status"] == status
    assert finish["messageMetadata"].get("stopped", False) is (status == "stopped")
    assert finish["messageMetadata"]["usage"]["totalTokens"] == 8


def test_data_lines_end_with_details_of_the_answer():
    end = sent("data", log(["hi"], Finished(status="truncated", usage=USAGE))).decode().splitlines()[-1]
    (note,) = json.loads(end.removeprefix("8:"))
    assert (note["messageId"], note["model"], note["status"]) == ("m-1", "gpt-4o-mini", "truncated")
    assert note["usage"]["inputTokens"] == 3


def test_sse_json_reports_an_interrupted_answer():
    *_, note, done = by_httpx2(sent("sse-json", log(["hi"], Finished(status="truncated"))))
    assert json.loads(note.data) == {"delta": "", "status": "truncated"}
    assert done.data == "[DONE]"


@pytest.mark.parametrize("texts", [["Hel", "lo"], []])
def test_an_interrupted_answer_never_looks_complete(texts):
    events = log(texts, INTERRUPTED)
    assert encoder_for("text").breaks_on_failure
    assert sent("text", events) == "".join(texts).encode()
    for protocol in ("sse", "sse-json"):
        *_, last = by_httpx2(sent(protocol, events))
        assert last.event == "error"
        problem = json.loads(last.data)
        assert (problem["code"], problem["retry_after"]) == ("upstream-busy", 7)
        assert "7 s" in problem["detail"]
        assert by_tutorial(sent(protocol, events))[1] is False
    lines = sent("data", events).decode().splitlines()
    assert json.loads(lines[-2].removeprefix("3:")) == "The service is busy. Try again in 7 s."
    assert "The service is busy. Try again in 7 s." in json.loads(lines[-1].removeprefix("0:"))
    *_, wait, error = ui_parts(sent("ui", events))
    assert wait == {"type": "data-ratelimit", "data": {"retryAfter": 7}, "transient": True}
    assert error == {"type": "error", "errorText": "The service is busy. Try again in 7 s."}
    assert b"[DONE]" not in sent("ui", events)


def test_an_error_without_a_wait_contains_no_wait():
    events = log(["hi"], Failed(status="interrupted", code="upstream-broken", message="It broke."))
    assert [part["type"] for part in ui_parts(sent("ui", events))][-2:] == ["text-delta", "error"]
    assert b"retry" not in sent("sse", events)
    assert sent("data", events).endswith(b'3:"It broke."\n0:"\\n\\n[It broke.]"\n')


def test_event_streams_send_a_comment_first_and_as_heartbeats():
    for protocol in ("sse", "sse-json", "ui"):
        encoder = encoder_for(protocol)
        assert encoder.content_type.startswith("text/event-stream")
        assert encoder.open().startswith(b":")
        assert encoder.heartbeat.startswith(b":")
        assert by_httpx2(encoder.open() + encoder.heartbeat) == []
    for protocol in ("text", "data"):
        assert encoder_for(protocol).open() == encoder_for(protocol).heartbeat == b""


def test_the_marker_headers_are_those_that_clients_read():
    assert encoder_for("text").headers["X-Experimental-Stream-Data"] == "false"
    assert encoder_for("data").headers["X-Experimental-Stream-Data"] == "true"
    assert encoder_for("ui").headers["x-vercel-ai-ui-message-stream"] == "v1"


def test_there_is_no_encoder_for_an_unknown_protocol():
    with pytest.raises(KeyError):
        encoder_for("html5")


RULE = Rule(name="requests_per_minute", kind="bucket", unit="request", limit=20, window=60, burst=20)
LIMITED = errors.LimitExceeded(
    "Too many messages.", retry_after=7, violations=[Violation(rule=RULE, wait=7, limit=20, used=20)]
)


@pytest.mark.parametrize("protocol", ["text", "data", "ui"])
def test_a_refusal_to_the_ai_sdk_is_one_sentence_with_the_seconds(protocol):
    assert body(protocol, LIMITED) == ("text/plain; charset=utf-8", b"Too many messages. Try again in 7 s.")
    told = errors.LimitExceeded("Try again in 7 seconds.", retry_after=7)
    assert body(protocol, told)[1] == b"Try again in 7 seconds."


@pytest.mark.parametrize("protocol", ["sse", "sse-json"])
def test_a_refusal_to_the_tutorial_has_error_and_retry_after(protocol):
    content_type, data = body(protocol, LIMITED)
    assert content_type == "application/json"
    assert json.loads(data) == {"error": "Too many messages. Try again in 7 s.", "retry_after": 7}


def test_a_refusal_to_other_clients_is_a_problem_document():
    content_type, data = body("", LIMITED)
    problem = json.loads(data)
    assert content_type == "application/problem+json"
    assert problem["type"].endswith("#quota-exceeded")
    assert (problem["status"], problem["retry_after"]) == (429, 7)
    assert problem["violated-policies"] == ["requests_per_minute"]
    plain = json.loads(body("", errors.NotFound())[1])
    assert (plain["type"], plain["status"], plain["detail"]) == ("about:blank", 404, "Not found.")
    assert "retry_after" not in plain


def test_every_encoder_sends_nothing_without_events():
    for protocol in API_PROTOCOLS:
        assert encoder_for(protocol).encode([]) == b""
