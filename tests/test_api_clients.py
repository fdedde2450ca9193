"""Unmodified published clients talk to a running site."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api import Api, api_of_a_site, sent
from tests.encoder_texts import texts
from tests.fakes import Gate, Script, error, gated, reset_after, text, tokens
from tests.judges import DATA_LINES, UI_MESSAGES, judge
from tests.waiting import wait_until

CLIENTS = (*DATA_LINES, *UI_MESSAGES)
STATEFUL = ("react4x", *UI_MESSAGES)
# Versions 2 and 3 send what the tutorial sends, so their protocol is in the address.
ADDRESS = {"ai2": "/api/chat?protocol=data", "ai3": "/api/chat?protocol=data"}
COMPLETIONS = {
    "ai2": [("", None)],
    "ai3": [("", "text")],
    "react4x": [("", "text"), ("?protocol=data", "data")],
    "react": [("", "text"), ("?protocol=ui", "data")],
}
WORDS = 'Wörter, \U0001f600 [DONE]\n\ndata: x\r\n 0:"y" '


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Api]:
    with api_of_a_site(tmp_path_factory.mktemp("clients"), migrated) as api:
        for _ in range(2):
            api.post("/api/completion", {"prompt": "hi"}, who="sam")
        yield api


@dataclass
class Job:
    """The steps of a client, and the response of the provider to each of its requests."""

    steps: list[dict[str, Any]]
    scripts: list[Script]
    path: str = "/api/chat"
    mode: str | None = None
    who: str = "alice"
    messages: list[dict[str, Any]] = field(default_factory=list)


def jobs_of(client: str) -> dict[str, Job]:
    path = ADDRESS.get(client, "/api/chat")
    plain = {"path": "/api/chat?protocol=text", "mode": None if client == "ai2" else "text"}
    say = [{"send": "one"}]
    jobs = {
        "two": Job([*say, {"send": "two"}], [text("first"), text(WORDS)], path),
        "again": Job([*say, {"regenerate": True}], [text("first"), text("second")], path),
        "stopped": Job([{"stopAt": 8}, *say, {"send": "two"}], [tokens(900, 0.02), text("continues")], path),
        "refused": Job(say, [], path, who="sam"),
        "failing": Job(say, [error(429, headers={"Retry-After": "30"})], path),
        "cut": Job(say, [reset_after("some words ")], path),
        "plain": Job(say, [text(WORDS)], **plain),
        "plain failing": Job(say, [error(429, headers={"Retry-After": "30"})], **plain),
        "plain cut": Job(say, [reset_after("some words ")], **plain),
    }
    for number, pieces in enumerate(texts()[:4]):
        jobs[f"text {number}"] = Job(say, [text(*[piece for piece in pieces if piece])], path)
    for number, (query, mode) in enumerate(COMPLETIONS.get(client, [])):
        jobs[f"completion {number}"] = Job([{"complete": "one"}], [text(WORDS)], "/api/completion" + query, mode)
    if client in UI_MESSAGES:
        edited = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "wrong"}]}
        answer = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "so it is"}]}
        jobs["edited"] = Job([{"edit": "u1", "text": "right"}], [text("better")], messages=[edited, answer])
    return jobs


@dataclass
class Outcome:
    result: dict[str, Any]
    chat: str
    asked: list[list[tuple[str, str]]]


ResultOf = Callable[[str, str], Outcome]


@pytest.fixture(scope="module")
def result_of(api: Api) -> ResultOf:
    """The outcome of one job. All jobs of a client run in one Node process."""
    done: dict[str, dict[str, Outcome]] = {}

    def run_jobs(client: str) -> dict[str, Outcome]:
        jobs = jobs_of(client)
        if client in UI_MESSAGES:
            api.upstream.enqueue(text("so it is"))
            api.post("/api/chat", sent(f"{client} edited", "wrong", "u1"))
        before = len(api.upstream.chats())
        for job in jobs.values():
            api.upstream.enqueue(*job.scripts)
        requests = [
            {
                "id": f"{client} {name}",
                "url": api.url + job.path,
                "headers": api.bearer(job.who),
                "steps": job.steps,
                "mode": job.mode,
                "messages": job.messages,
            }
            for name, job in jobs.items()
        ]
        results = judge(client, [{key: value for key, value in request.items() if value} for request in requests])
        outcomes, asked = {}, api.asked()[before:]
        for (name, job), result in zip(jobs.items(), results, strict=True):
            own, asked = asked[: len(job.scripts)], asked[len(job.scripts) :]
            outcomes[name] = Outcome(result=result, chat=f"{client} {name}", asked=own)
        return outcomes

    def outcome(client: str, name: str) -> Outcome:
        if client not in done:
            done[client] = run_jobs(client)
        return done[client][name]

    return outcome


def said(outcome: Outcome) -> tuple[str, str | None]:
    return outcome.result["text"], outcome.result["error"]


@pytest.mark.parametrize("client", CLIENTS)
def test_earlier_messages_are_sent_to_the_model(result_of: ResultOf, api: Api, client: str) -> None:
    outcome = result_of(client, "two")
    assert said(outcome) == (WORDS, None)
    assert outcome.asked == [[("user", "one")], [("user", "one"), ("assistant", "first"), ("user", "two")]]
    stored = [content for _role, _status, content in api.messages(outcome.chat)]
    assert stored == (["one", "first", "two", WORDS] if client in STATEFUL else [])


@pytest.mark.parametrize("client", CLIENTS)
def test_any_text_comes_out_identical(result_of: ResultOf, client: str) -> None:
    for number, pieces in enumerate(texts()[:4]):
        expected = "".join(pieces).replace("\x00", "\N{REPLACEMENT CHARACTER}")
        assert said(result_of(client, f"text {number}")) == (expected, None)
    assert said(result_of(client, "plain")) == (WORDS, None)


@pytest.mark.parametrize("client", CLIENTS)
def test_regenerating_adds_another_answer_to_the_question(result_of: ResultOf, api: Api, client: str) -> None:
    outcome = result_of(client, "again")
    assert said(outcome) == ("second", None)
    assert [message["role"] for message in outcome.result["messages"]] == ["user", "assistant"]
    assert outcome.asked == [[("user", "one")], [("user", "one")]]
    stored = [content for _role, _status, content in api.messages(outcome.chat)]
    assert stored == (["one", "second"] if client in STATEFUL else [])


@pytest.mark.parametrize("client", CLIENTS)
def test_stopping_ends_the_request_and_the_chat_continues_at_once(result_of: ResultOf, api: Api, client: str) -> None:
    outcome = result_of(client, "stopped")
    assert said(outcome) == ("continues", None)
    assert len(outcome.asked[1]) == 3
    assert outcome.asked[1][1][1].startswith("word0 ")
    assert "word899" not in outcome.asked[1][1][1]
    if client in STATEFUL:
        assert [status for _role, status, _text in api.messages(outcome.chat)] == [
            "complete",
            "stopped",
            "complete",
            "complete",
        ]


@pytest.mark.parametrize("client", UI_MESSAGES)
def test_editing_a_question_adds_another_version(result_of: ResultOf, api: Api, client: str) -> None:
    outcome = result_of(client, "edited")
    assert said(outcome) == ("better", None)
    assert outcome.asked == [[("user", "right")]]
    assert [content for _role, _status, content in api.messages(outcome.chat)] == ["right", "better"]
    rows = api.rows(
        "SELECT content FROM chat_message m JOIN chat_conversation c ON c.id = conversation_id WHERE client_id = ?",
        outcome.chat,
    )
    assert {content for (content,) in rows} == {"wrong", "so it is", "right", "better"}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_hook_shows_a_limit_as_one_sentence_with_the_wait(result_of: ResultOf, client: str) -> None:
    result = result_of(client, "refused").result
    assert re.match(r"You have reached your limit of 2 messages per day\. Try again in \d+ seconds?\b", result["error"])
    assert result["statusCode"] in (None, 429)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_hook_shows_why_the_provider_failed(result_of: ResultOf, client: str) -> None:
    for name in ("failing", "plain failing"):
        text, shown = said(result_of(client, name))
        assert text == ""
        assert re.search(r"busy.*\b30\b", shown or "")


@pytest.mark.parametrize("client", CLIENTS)
def test_an_interrupted_answer_never_looks_complete(result_of: ResultOf, client: str) -> None:
    text, shown = said(result_of(client, "cut"))
    assert text.startswith("some words ")
    assert "was interrupted" in (text if client in ("ai2", "ai3") else shown or "")
    assert result_of(client, "plain cut").result["error"]


@pytest.mark.parametrize("client", COMPLETIONS)
def test_completions_are_answered(result_of: ResultOf, client: str) -> None:
    for number in range(len(COMPLETIONS[client])):
        assert said(result_of(client, f"completion {number}")) == (WORDS, None)


@pytest.mark.parametrize("client", ["ai5", "ai", "react4x"])
def test_a_reloaded_page_shows_the_running_answer_once(api: Api, client: str) -> None:
    gate, chat = Gate(), f"{client}-reloaded"
    protocol = "data" if client == "react4x" else "ui"
    api.upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    with api.streaming(f"/api/chat?resume=1&protocol={protocol}", sent(chat, "go")) as response:
        gate.wait_until_reached()
        next(response.iter_raw())
    ((answer,),) = api.rows("SELECT head_id FROM chat_conversation WHERE client_id = ?", chat)
    question = {"id": "m1", "role": "user", "content": "go", "parts": [{"type": "text", "text": "go"}]}
    partial = {"id": answer, "role": "assistant", "content": "before ", "parts": [{"type": "text", "text": "before "}]}
    opener = threading.Thread(target=open_when_resumed, args=(api, gate))
    opener.start()
    job = {"id": chat, "url": f"{api.url}/api/chat?resume=1", "headers": api.bearer(), "steps": [{"resume": True}]}
    messages = [question] if client == "react4x" else [question, partial]
    (result,) = judge(client, [{**job, "messages": messages}])
    opener.join()
    assert (result["text"], result["error"]) == ("before after", None)


def open_when_resumed(api: Api, gate: Gate) -> None:
    """Open the gate once a client has resumed; after 40 seconds in any case, so that the test ends."""
    before = resumptions(api)
    try:
        wait_until(lambda: resumptions(api) > before, 40, interval=0.05)
    finally:
        gate.open()


def resumptions(api: Api) -> int:
    return len(re.findall(r"GET /api/chat\S* 200", api.site.log))


def test_a_hook_that_finds_nothing_to_resume_is_ready(api: Api) -> None:
    for client in ("ai5", "ai", "react4x"):
        job = {"id": "nothing-runs", "url": f"{api.url}/api/chat", "headers": api.bearer(), "steps": [{"resume": True}]}
        (result,) = judge(client, [job])
        assert (result["status"], result["error"]) == ("ready", None)


def test_the_tutorials_reader_reads_to_the_end(api: Api) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    job = {"url": f"{api.url}/api/chat", "headers": api.bearer(), "body": body}
    api.upstream.enqueue(text("Hel", "lo ", "wor", "ld"), reset_after("some words "))
    whole, cut = judge("tutorial", [job, job])
    assert (whole["text"], whole["ended"]) == ("Hello world", True)
    assert cut["ended"] is False
    (events,) = judge("eventsource-parser", [job])
    assert events["events"][-1]["data"] == "[DONE]"
