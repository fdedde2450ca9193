"""Unmodified published clients read the output of the encoders, in any division into network chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chat import errors
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage
from chat.streaming.encoders import encoder_for
from chat.streaming.error_bodies import body
from tests.encoder_texts import texts
from tests.judges import DATA_LINES, UI_MESSAGES, judge

STARTED = Started(message_id="m-1", model="gpt-4o-mini")
COMPLETE = Finished(status="complete", usage=Usage(prompt_tokens=3, completion_tokens=5))
INTERRUPTED = Failed(status="interrupted", code="upstream-busy", message="The service is busy.", retry_after=7)
ERROR_TEXT = "The service is busy. Try again in 7 s."
FINISH_REASONS = {
    "complete": "stop",
    "truncated": "length",
    "filtered": "content-filter",
    "refused": "other",
    "stopped": "other",
}
REFUSAL_TEXT = "Too many messages. Try again in 7 s."
COMPLETIONS = {
    "ai2": [("text", None), ("data", None)],
    "ai3": [("text", "text")],
    "react4x": [("text", "text"), ("data", "data")],
    "react": [("text", "text"), ("ui", "data")],
}
PARSERS = ("eventsource-parser", "tutorial")


@dataclass
class Reply:
    chunks: Sequence[bytes]
    status: int = 200
    content_type: str = "text/plain"
    headers: dict[str, str] | None = None
    broken: bool = False


Cases = list[tuple[Any, Reply, dict[str, Any]]]
ResultsOf = Callable[[str, str], list[tuple[Any, dict[str, Any]]]]


class Handler(BaseHTTPRequestHandler):
    """Each chunk reaches the client as one; a broken reply has no last chunk."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.server.replies[int(self.path[1:])]  # type: ignore[attr-defined]
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in (reply.headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        for chunk in reply.chunks:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if reply.broken:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Site:
    """Answers request n with reply n."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.replies = []  # type: ignore[attr-defined]

    def url(self, reply: Reply) -> str:
        replies = self.server.replies  # type: ignore[attr-defined]
        replies.append(reply)
        return f"http://127.0.0.1:{self.server.server_port}/{len(replies) - 1}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def reply(protocol: str, events: Sequence[LogEvent], cut: int = 0) -> Reply:
    """One chunk for each event, or chunks of `cut` bytes."""
    encoder = encoder_for(protocol)
    frames = [encoder.open()]
    for event in events:
        frames += [encoder.encode([event]), encoder.heartbeat]
    if cut:
        whole = b"".join(frames)
        frames = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    broken = encoder.breaks_on_failure and isinstance(events[-1], Failed)
    chunks = [frame for frame in frames if frame]
    return Reply(chunks=chunks, content_type=encoder.content_type, headers=encoder.headers, broken=broken)


def log(pieces: Sequence[str], end: LogEvent = COMPLETE) -> list[LogEvent]:
    return [STARTED, *[Delta(text=piece) for piece in pieces], end]


def refusal(protocol: str) -> Reply:
    error = errors.LimitExceeded("Too many messages.", retry_after=7)
    content_type, data = body(protocol, error)
    return Reply(chunks=[data], status=error.status, content_type=content_type)


def with_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_cases(client: str) -> dict[str, Cases]:
    mode = {} if client == "ai2" else {"mode": "text"}
    return {
        "text": [(pieces, reply("text", log(pieces), cut), mode) for pieces in texts() for cut in (0, 1)],
        "text broken": [(None, reply("text", log(["Hello"], INTERRUPTED)), mode)],
        "refused": [(None, refusal("data" if client in DATA_LINES else "ui"), {})],
    }


def data_cases(client: str) -> dict[str, Cases]:
    # The 2.2 client reads a network chunk only where it ends in a line end, so there a chunk is a write of ours.
    cuts = [0] if client == "ai2" else [0, 1, 5]
    return {
        "data": [(pieces, reply("data", log(pieces), cut), {}) for pieces in texts() for cut in cuts],
        "data broken": [(None, reply("data", log(["Hello"], INTERRUPTED)), {})],
    }


def ui_cases() -> dict[str, Cases]:
    thoughts = [STARTED, Reasoning(text="Let me "), Reasoning(text="see."), Delta(text="42"), COMPLETE]
    return {
        "ui": [(pieces, reply("ui", log(pieces), cut), {}) for pieces in texts() for cut in (0, 1, 7)],
        "ui broken": [(None, reply("ui", log(["Hel", "lo"], INTERRUPTED)), {})],
        "ui thoughts": [(None, reply("ui", thoughts), {})],
        "ui ends": [(ends, reply("ui", log(["hi"], Finished(status=ends[0]))), {}) for ends in FINISH_REASONS.items()],
    }


def completion_cases(client: str) -> dict[str, Cases]:
    modes = COMPLETIONS[client]
    ask = {"steps": [{"complete": "hi"}]}
    return {
        "completion": [
            (None, reply(protocol, log(["Hel", "lo\r\n"])), ask | {"mode": mode}) for protocol, mode in modes
        ],
        "completion refused": [(None, refusal(protocol), ask | {"mode": mode}) for protocol, mode in modes],
    }


def parser_cases() -> dict[str, Cases]:
    whole = [[piece for piece in pieces if "\r" not in piece] for pieces in texts()]
    return {
        "sse": [(pieces, reply("sse", log(pieces), cut), {"body": {}}) for pieces in texts() for cut in (0, 1, 7)],
        "sse by write": [(pieces, reply("sse", log(pieces)), {"body": {}}) for pieces in whole],
        "sse broken": [(None, reply("sse", log(["Hello"], INTERRUPTED)), {"body": {}})],
    }


def cases_for(client: str) -> dict[str, Cases]:
    if client in PARSERS:
        return parser_cases()
    cases = text_cases(client)
    if client in DATA_LINES:
        cases |= data_cases(client)
    if client in UI_MESSAGES:
        cases |= ui_cases()
    if client in COMPLETIONS:
        cases |= completion_cases(client)
    return cases


@pytest.fixture(scope="module")
def results_of(site: Site) -> ResultsOf:
    """The expected and the actual results of one group of cases. All groups of a client run in one Node process."""
    done: dict[str, dict[str, list[tuple[Any, dict[str, Any]]]]] = {}

    def results(client: str, name: str) -> list[tuple[Any, dict[str, Any]]]:
        if client not in done:
            runs = [(name, *run) for name, group in cases_for(client).items() for run in group]
            jobs = [{"url": site.url(reply), "steps": [{"send": "hi"}], **options} for _, _, reply, options in runs]
            done[client] = {}
            for (group, expected, _, _), result in zip(runs, judge(client, jobs), strict=True):
                done[client].setdefault(group, []).append((expected, result))
        return done[client][name]

    return results


@pytest.mark.parametrize("client", DATA_LINES)
def test_data_lines_come_out_identical(results_of: ResultsOf, client: str):
    for pieces, result in results_of(client, "data"):
        assert (result["text"], result["error"]) == ("".join(pieces), None)
        assert result["answer"]["metadata"][0]["status"] == "complete"


@pytest.mark.parametrize("client", [*DATA_LINES, *UI_MESSAGES])
def test_plain_text_comes_out_identical(results_of: ResultsOf, client: str):
    for pieces, result in results_of(client, "text"):
        assert (result["text"], result["error"]) == ("".join(pieces), None)


@pytest.mark.parametrize("client", UI_MESSAGES)
def test_ui_messages_come_out_identical(results_of: ResultsOf, client: str):
    for pieces, result in results_of(client, "ui"):
        assert (result["text"], result["status"], result["error"]) == ("".join(pieces), "ready", None)
        assert result["answer"]["id"] == "m-1"
        assert result["answer"]["metadata"]["model"] == "gpt-4o-mini"
        assert result["answer"]["metadata"]["usage"]["totalTokens"] == 8
        assert set(result["answer"]["states"]) == {None, "done"}


@pytest.mark.parametrize("client", UI_MESSAGES)
def test_reasoning_is_separate_from_the_answer(results_of: ResultsOf, client: str):
    ((_, result),) = results_of(client, "ui thoughts")
    assert (result["text"], result["answer"]["reasoning"]) == ("42", "Let me see.")


@pytest.mark.parametrize("client", UI_MESSAGES)
def test_the_client_accepts_every_finish_reason(results_of: ResultsOf, client: str):
    for (status, reason), result in results_of(client, "ui ends"):
        assert (result["status"], result["error"], result["text"]) == ("ready", None, "hi")
        assert (result["answer"]["metadata"]["status"], result["finishReason"]) == (status, reason)


@pytest.mark.parametrize("client", UI_MESSAGES)
def test_an_interrupted_answer_is_an_error_and_its_text_is_kept(results_of: ResultsOf, client: str):
    ((_, result),) = results_of(client, "ui broken")
    assert (result["text"], result["status"], result["error"]) == ("Hello", "error", ERROR_TEXT)
    assert [part["data"] for part in result["data"]] == [{"retryAfter": 7}]


@pytest.mark.parametrize("client", DATA_LINES)
def test_an_interrupted_answer_in_data_lines_is_shown_as_the_client_can(results_of: ResultsOf, client: str):
    ((_, result),) = results_of(client, "data broken")
    if client == "react4x":
        assert (result["text"], result["error"]) == ("Hello", ERROR_TEXT)
    else:
        assert result["text"] == f"Hello\n\n[{ERROR_TEXT}]"


@pytest.mark.parametrize("client", [*DATA_LINES, *UI_MESSAGES])
def test_interrupted_plain_text_is_an_error(results_of: ResultsOf, client: str):
    ((_, result),) = results_of(client, "text broken")
    assert result["error"]


@pytest.mark.parametrize("client", [*DATA_LINES, *UI_MESSAGES])
def test_a_refusal_is_shown_word_for_word(results_of: ResultsOf, client: str):
    ((_, result),) = results_of(client, "refused")
    assert result["error"] == REFUSAL_TEXT


@pytest.mark.parametrize("client", COMPLETIONS)
def test_completions_come_out_identical(results_of: ResultsOf, client: str):
    for _, result in results_of(client, "completion"):
        assert (result["text"], result["error"]) == ("Hello\r\n", None)
    for _, result in results_of(client, "completion refused"):
        assert result["error"] == REFUSAL_TEXT


def test_a_conforming_parser_reads_the_tutorials_format(results_of: ResultsOf):
    for pieces, result in results_of("eventsource-parser", "sse"):
        *events, last = [event["data"] for event in result["events"]]
        assert ("".join(events), last) == (with_lf("".join(pieces)), "[DONE]")


def test_a_parser_that_splits_and_trims_keeps_every_line_complete(results_of: ResultsOf):
    blanks = "\t\n\v\f\r \u00a0\u2028\u2029\ufeff"
    for pieces, result in results_of("tutorial", "sse by write"):
        lines = "".join(pieces).split("\n")
        assert (result["text"], result["ended"]) == ("".join(line.strip(blanks) for line in lines), True)


def test_a_parser_that_splits_and_trims_sees_no_end_of_an_interrupted_answer(results_of: ResultsOf):
    ((_, result),) = results_of("tutorial", "sse broken")
    assert result["ended"] is False
    assert result["text"].startswith("Hello")
