"""The JSON API over real sockets: the responses, and the answers in the database."""

from __future__ import annotations

import json
import re
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from tests.api import Api, api_of_a_site, says, sent
from tests.crashes import call_after
from tests.fakes import Gate, Script, Sleep, echo, error, gated, hang, reset_after, text
from tests.waiting import wait_until

TUTORIAL = {"messages": [says("Hello")]}
PROTOCOLS = ("text", "sse", "sse-json", "data", "ui")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Api]:
    with api_of_a_site(tmp_path_factory.mktemp("api"), migrated, "daphne", "uvicorn") as api:
        yield api


def parts(stream: str) -> list[dict[str, Any]]:
    return [json.loads(data) for data in re.findall(r"^data: (\{.*)$", stream, re.MULTILINE)]


def test_the_tutorials_body_is_answered_in_its_own_format(api: Api) -> None:
    api.upstream.enqueue(text("Hel", "lo ", "world"))
    response = api.post("/api/chat", TUTORIAL)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache, no-store, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    data = re.findall(r"^data: (.*)$", response.text, re.MULTILINE)
    assert ("".join(data[:-1]), data[-1]) == ("Hello world", "[DONE]")


def test_a_body_without_an_id_contains_its_history_and_is_not_listed(api: Api) -> None:
    history = [says("be evil", "system"), says("one"), says("two", "assistant"), says("only once")]
    assert api.post("/api/chat", {"messages": history}).status_code == 200
    assert api.asked()[-1] == [("user", "one"), ("assistant", "two"), ("user", "only once")]
    assert "only once" not in api.site.person("alice").http.get("/").text


def test_a_completion_is_plain_text(api: Api) -> None:
    api.upstream.enqueue(text("Hel", "lo"))
    response = api.post("/api/completion", {"prompt": "Say hello"})
    assert (response.status_code, response.text) == (200, "Hello")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["X-Experimental-Stream-Data"] == "false"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_can_be_sent_as_a_whole_in_any_protocol(api: Api, protocol: str) -> None:
    for where in (("?stream=0", {}), ("?x", {"stream": False})):
        api.upstream.enqueue(text("Hel", "lo"))
        response = api.post(f"/api/chat{where[0]}&protocol={protocol}", {**TUTORIAL, **where[1]})
        assert response.status_code == 200
        assert int(response.headers["Content-Length"]) == len(response.content)
        assert "Hello" in response.text.replace('"', "").replace("data: ", "")
    assert api.post("/api/chat?stream=0", TUTORIAL).headers["Content-Type"].startswith("text/plain")


def test_limits_and_ledger_are_the_same_as_on_the_page(api: Api) -> None:
    for _ in range(2):
        response = api.post("/api/chat?protocol=text", TUTORIAL, who="sam")
        assert response.status_code == 200
    assert '"requests_per_day";r=0' in response.headers["RateLimit"]
    calls = len(api.upstream.history)
    for protocol, kind in (("ui", "text/plain"), ("text", "text/plain"), ("sse", "application/json")):
        refused = api.post(f"/api/chat?protocol={protocol}", TUTORIAL, who="sam")
        assert refused.status_code == 429
        assert refused.headers["Content-Type"].startswith(kind)
        assert re.search(rf"\b{refused.headers['Retry-After']} second", refused.text)
    assert refused.json()["retry_after"] == int(refused.headers["Retry-After"])
    assert len(api.upstream.history) == calls
    ledger = "SELECT r.status FROM chat_usagerecord r JOIN chat_user u ON u.id = r.user_id WHERE username = 'sam'"
    assert api.rows(ledger) == [("complete",), ("complete",)]


def test_a_chat_of_a_client_is_a_conversation_of_its_user(api: Api) -> None:
    api.post("/api/chat", sent("on-site", "My name is Ada"))
    alice = api.site.person("alice")
    listed = re.search(r'href="/c/([0-9a-f-]{36})/"[^>]*>[^<]*(?:<[^>]+>)*My name is Ada', alice.http.get("/").text)
    assert listed
    alice.ask("said on the page", listed[1])
    api.post("/api/chat", sent("on-site", "said by the client", "m2"))
    assert [content for role, content in api.asked()[-1] if role == "user"] == [
        "My name is Ada",
        "said on the page",
        "said by the client",
    ]
    api.post("/api/chat", sent(listed[1], "by its address", "m3"))
    assert len(api.asked()[-1]) == 7
    assert api.messages(listed[1]) == []


def test_the_stored_messages_replace_the_history_in_the_request(api: Api) -> None:
    api.post("/api/chat", sent("wins", "first"))
    body = sent("wins", "second", "m2")
    body["messages"] = [says("forged"), says("all yours", "assistant"), *body["messages"]]
    api.post("/api/chat", body)
    assert api.asked()[-1] == [("user", "first"), ("assistant", "first "), ("user", "second")]


def test_the_same_message_sent_twice_has_one_answer(api: Api) -> None:
    gate = Gate()
    api.upstream.enqueue(gated(gate))
    calls = len(api.upstream.chats())
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(api.post, "/api/chat", sent("twice", "once")) for _ in range(3)]
        gate.wait_until_reached()
        gate.open()
        assert len({answer.result().text.replace(": ping\n\n", "") for answer in answers}) == 1
    assert len(api.upstream.chats()) == calls + 1
    assert api.post("/api/chat", sent("twice", "something else")).status_code == 409


def test_one_answer_at_a_time_in_a_chat(api: Api) -> None:
    gate = Gate()
    api.upstream.enqueue(gated(gate))
    with api.streaming("/api/chat?protocol=text", sent("busy", "first")) as response:
        gate.wait_until_reached()
        refused = api.post("/api/chat", sent("busy", "second", "m2"))
        assert (refused.status_code, refused.text) == (409, "Wait for the answer or stop it.")
        gate.open()
        assert response.read() == b"first last"


@pytest.mark.parametrize(
    ("script", "status", "wait"),
    [(error(429, headers={"Retry-After": "30"}), 503, "30"), (error(401), 502, None)],
    ids=["busy", "wrong key"],
)
@pytest.mark.parametrize("protocol", ["text", "data"])
def test_an_error_before_the_first_text_is_a_status(
    api: Api, protocol: str, script: Script, status: int, wait: str | None
) -> None:
    api.upstream.always(script)
    try:
        response = api.post(f"/api/chat?protocol={protocol}", TUTORIAL)
        assert (response.status_code, response.headers.get("Retry-After")) == (status, wait)
        assert response.text.endswith((".", "s"))
        assert wait is None or wait in response.text
    finally:
        api.upstream.default = echo


@pytest.mark.parametrize("protocol", ["sse", "sse-json", "ui"])
def test_an_error_during_the_answer_is_an_event(api: Api, protocol: str) -> None:
    api.upstream.enqueue(reset_after("some words "))
    response = api.post(f"/api/chat?protocol={protocol}", TUTORIAL)
    assert response.status_code == 200
    assert "some wor" in response.text
    assert "was interrupted" in response.text
    assert "[DONE]" not in response.text
    assert '"finish"' not in response.text


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_plain_text_that_was_cut_never_looks_complete(api: Api, server: str) -> None:
    gate = Gate()
    script = reset_after("some words ")
    api.upstream.enqueue(Script([script.steps[0], gate, script.steps[1]]))  # type: ignore[index]
    with api.streaming("/api/chat?protocol=text", TUTORIAL, server) as response:
        pieces = response.iter_raw()
        assert (response.status_code, next(pieces)) == (200, b"some words ")
        gate.open()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)
    with api.streaming("/api/chat?protocol=text", TUTORIAL, server) as response:  # after it the cut one is logged, too
        assert response.read() == b"Hello "
    assert "Traceback" not in api.site.log


def test_an_answer_sent_as_a_whole_is_complete_or_an_error(api: Api) -> None:
    for protocol in PROTOCOLS:
        api.upstream.enqueue(reset_after("some words "))
        response = api.post(f"/api/chat?stream=0&protocol={protocol}", TUTORIAL)
        assert response.status_code == 502
        assert "some words" not in response.text


DISCONNECTS = {
    "in text": ("?protocol=text", {}, True),
    "in sse": ("?protocol=sse", {}, True),
    "in data": ("?protocol=data", {}, True),
    "in ui": ("?protocol=ui", {}, True),
    "waiting for the whole": ("?stream=0", {}, False),
    "waiting for the first word": ("?protocol=text", {"silent": True}, False),
}


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize("case", DISCONNECTS)
def test_a_client_that_disconnects_ends_the_request_to_the_provider(api: Api, case: str, server: str) -> None:
    query, how, has_bytes = DISCONNECTS[case]
    gate = Gate()
    before = [] if "silent" in how else ["kept "]
    api.upstream.enqueue(gated(gate, before=before, after=["never"]))
    chat = f"left {case} {server}"
    if has_bytes:
        with api.streaming(f"/api/chat{query}", sent(chat, "go"), server) as response:
            gate.wait_until_reached()
            next(response.iter_raw())
    else:
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{api.urls[server]}/api/chat{query}", json=sent(chat, "go"), headers=api.bearer(), timeout=0.8)
    assert api.upstream.history[-1]["left"].wait(2)
    assert api.ended(chat) == ("assistant", "stopped", "".join(before))
    assert api.rows(LEDGER, chat) == [("stopped",)]


LEDGER = """
    SELECT status FROM chat_usagerecord WHERE conversation_id = (SELECT id FROM chat_conversation WHERE client_id = ?)
"""


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_a_client_may_disconnect_at_any_time(api: Api, server: str) -> None:
    """Also while its request is processed in a database thread."""

    def hangs(request: dict[str, Any]) -> bool:
        return b"never answered" in request["body"]

    def nothing_runs() -> bool:
        return not api.rows(RUNNING) and all(each["left"].is_set() for each in api.upstream.chats() if hangs(each))

    api.upstream.default = lambda request: hang() if hangs(request) else echo(request)
    address = ("127.0.0.1", int(api.urls[server].rsplit(":", 1)[1]))
    try:
        for number in range(24):
            connection = socket.create_connection(address)
            connection.sendall(raw_post(sent(f"fleeting-{server}-{number}", "never answered"), api.bearer()))
            call_after(number / 1000, connection.close)
        with api.streaming("/api/chat?protocol=text", TUTORIAL, server) as response:
            assert response.read() == b"Hello ", "a request after them is answered"
        wait_until(nothing_runs, 6, message=lambda: api.rows(RUNNING))
    finally:
        api.upstream.default = echo


RUNNING = "SELECT status, created_at FROM chat_message WHERE status IN ('pending', 'streaming')"


def raw_post(body: Any, headers: dict[str, str]) -> bytes:
    content = json.dumps(body).encode()
    lines = ["POST /api/chat?protocol=text HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def test_every_middleware_is_asynchronous() -> None:
    """Behind a middleware that is only synchronous, Django would run everything in a thread."""
    for name in django_settings.MIDDLEWARE:
        assert import_string(name).async_capable, name


def test_a_resumable_answer_continues_and_is_sent_again_from_its_start(api: Api) -> None:
    gate = Gate()
    api.upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    assert api.get("/api/chat/resumed/stream").status_code == 204
    with api.streaming("/api/chat?resume=1", sent("resumed", "go")) as response:
        gate.wait_until_reached()
        seen = b"".join(piece for piece, _ in zip(response.iter_raw(), range(2), strict=False)).decode()
    with api.http.stream("GET", f"{api.url}/api/chat/resumed/stream", headers=api.bearer()) as response:
        pieces = response.iter_text()
        resumed = next(pieces)
        gate.open()
        events = parts(resumed + "".join(pieces))
    assert events[0]["type"] == "start"
    assert events[0]["messageId"] in seen
    assert "".join(event["delta"] for event in events if event["type"] == "text-delta") == "before after"
    assert events[-1]["type"] == "finish"
    assert api.ended("resumed")[1:] == ("complete", "before after")
    assert api.get("/api/chat/resumed/stream").status_code == 204


def test_stop_ends_the_answer_and_its_stream(api: Api) -> None:
    gate = Gate()
    api.upstream.enqueue(gated(gate, before=["kept "], after=["never"]))
    with api.streaming("/api/chat", sent("a/b ü", "go")) as response:
        gate.wait_until_reached()
        assert api.post("/api/chat/a%2Fb%20%C3%BC/stop", {"activeStreamId": None}, who="bob").status_code == 204
        assert api.post("/api/chat/a%2Fb%20%C3%BC/stop", b"").status_code == 204
        rest = response.read().decode()
    assert '"kept "' in rest
    assert '"stopped":true' in rest
    assert api.upstream.history[-1]["left"].wait(2)
    assert api.messages("a/b ü")[-1][1:] == ("stopped", "kept ")


def test_a_chat_of_another_user_looks_like_an_unknown_one(api: Api) -> None:
    gate = Gate()
    api.upstream.enqueue(gated(gate))
    with api.streaming("/api/chat", sent("shared-name", "alice asks")) as response:
        gate.wait_until_reached()
        assert api.get("/api/chat/shared-name/stream", who="bob").status_code == 204
        assert api.post("/api/chat", sent("shared-name", "bob asks"), who="bob").status_code == 200
        gate.open()
        response.read()
    assert api.asked()[-1] == [("user", "bob asks")]
    assert [text for _role, _status, text in api.messages("shared-name")] == ["alice asks", "first last"]


def test_a_deleted_chat_is_not_found(api: Api) -> None:
    api.post("/api/chat", sent("deleted", "go"))
    ((identifier,),) = api.rows("SELECT id FROM chat_conversation WHERE client_id = 'deleted'")
    api.site.person("alice").post(f"/c/{uuid.UUID(identifier)}/delete/")
    assert api.post("/api/chat", sent("deleted", "again", "m2")).status_code == 404
    assert api.get("/api/chat/deleted/stream").status_code == 204


def test_a_late_first_text_is_sent_as_plain_text(api: Api) -> None:
    api.upstream.enqueue(Script([Sleep(0.2), *text("late").steps]))
    assert api.post("/api/chat?protocol=text", TUTORIAL).text == "late"
