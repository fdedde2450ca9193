"""What a hostile client can send over a socket: the right status, nothing stored, the process stays up."""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import uvicorn

from chatsite.server.body_limit import RequestBodyLimit
from tests.fakes import FakeProvider
from tests.services import postgres_database
from tests.site import Site, free_port, ids_in, token_in

MEGABYTE = 1_048_576


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "uvicorn on PostgreSQL"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path, provider: FakeProvider
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "site.sqlite3").write_bytes(migrated.read_bytes())
    server, _, database = request.param.partition(" on ")
    with contextlib.ExitStack() as stack:
        env = {"OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": "sk-test"}
        if database:
            template = request.getfixturevalue("migrated_postgres")
            env["DATABASE_URL"] = stack.enter_context(postgres_database(template))
        site = Site(folder, **env)
        site.start(server)
        stack.callback(site.stop)
        yield site


def talk(site: Site, data: bytes, *, wait: float = 10) -> bytes:
    """Sends bytes as they are and returns what comes back until the server closes or falls silent."""
    answer = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=wait) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
            connection.sendall(data)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while piece := connection.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b"HTTP/1.1 1" not in answer:
                    break
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def head(*lines: str, method: str = "POST", path: str = "/c/") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode("latin-1")


def test_an_announced_body_over_a_megabyte_is_refused_before_it_is_read(served: Site) -> None:
    assert status(talk(served, head(f"Content-Length: {MEGABYTE + 1}"))) == 413


def test_a_body_that_grows_over_a_megabyte_is_refused(served: Site) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert status(talk(served, head("Transfer-Encoding: chunked") + chunk * 20)) == 413


def test_a_body_that_is_refused_unread_is_refused_with_the_headers_of_every_page(served: Site) -> None:
    refusal = talk(served, head(f"Content-Length: {MEGABYTE + 1}")).lower()
    page = served.person("alice").http.get("/")
    for name in ("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"):
        assert f"{name}: {page.headers[name]}".lower().encode() in refusal
    assert b"cross-origin-resource-policy: same-origin" in refusal
    assert b"content-security-policy: default-src 'none'" in refusal
    assert b"cache-control: no-store" in refusal


def test_a_request_with_two_ways_to_tell_its_length_is_refused(served: Site) -> None:
    assert status(talk(served, head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n")) == 400


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async def reads_all(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    config = uvicorn.Config(
        RequestBodyLimit(reads_all, timeout=0.3), port=free_port(), log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.02)
        with socket.create_connection(("127.0.0.1", config.port), timeout=10) as connection:
            connection.sendall(head("Content-Length: 500") + b"too little")
            assert status(connection.recv(65536)) == 408
            while connection.recv(65536):
                pass
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize(
    "data",
    [
        head("Content-Length: -5"),
        head("Content-Length: 3", "Content-Length: 4") + b"abcd",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
    ids=["negative length", "two lengths", "wrong host", "not http", "long path", "long header", "many headers"],
)
def test_malformed_requests_do_no_harm(served: Site, data: bytes) -> None:
    assert status(talk(served, data, wait=3)) < 500
    assert served.person("alice").http.get("/").status_code == 200


def test_an_unknown_websocket_is_turned_away_quietly(served: Site) -> None:
    upgrade = head(
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        method="GET",
        path="/nothing/",
    )
    assert status(talk(served, upgrade)) in (400, 403, 404)
    assert "Traceback" not in served.log


def test_half_a_form_is_never_taken_for_a_whole_one(served: Site) -> None:
    alice = served.person("alice")
    boundary = "frontier"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{alice.csrf()}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nonly the first half of'
    )
    response = alice.http.post(
        "/c/", content=body.encode(), headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert response.status_code == 400


@pytest.mark.parametrize("prompt", ["", " \n\t ", "\u200b" * 0])
def test_a_blank_message_is_refused(served: Site, prompt: str) -> None:
    response = served.person("alice").send(prompt)
    assert response.status_code == 422
    assert "Write a message first." in response.text


def test_one_character_too_many_is_refused_and_the_text_kept(served: Site) -> None:
    alice = served.person("alice")
    text = "x" * 32_001
    response = alice.post("/c/", {"prompt": text}, htmx=False)
    assert response.status_code == 422
    assert "Too long: 32,001 of 32,000 characters." in response.text
    assert text in response.text


def test_exactly_the_limit_in_wide_characters_is_stored_whole(served: Site) -> None:
    alice = served.person("alice")
    chat, _answer = ids_in(alice.send("😀" * 32_000))
    assert alice.http.get(f"/c/{chat}/").text.count("😀") >= 32_000


@pytest.mark.parametrize("model", ["no-such-model", "x" * 100_000, "gpt\r\nX-Evil: 1", "gpt-4o-mini\n"])
def test_an_unknown_model_is_refused_and_never_passed_on(served: Site, model: str) -> None:
    response = served.person("alice").send("hello", model=model)
    assert response.status_code == 422
    assert "Unknown model." in response.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("client_key", "not a uuid"), ("client_key", "\x00"), ("client_key", "9" * 10_000)],
)
def test_a_malformed_client_key_is_refused(served: Site, name: str, value: str) -> None:
    assert served.person("alice").post("/c/", {"prompt": "hello", name: value}).status_code == 400


@pytest.mark.parametrize("identifier", ["9" * 400, "٣" * 32, "%00", "%ff", "..%2f..%2fetc", "0" * 36])
def test_a_malformed_id_is_not_found(served: Site, identifier: str) -> None:
    alice = served.person("alice")
    for path in (f"/c/{identifier}/", f"/m/{identifier}/stream/"):
        assert alice.http.get(path).status_code == 404


@pytest.mark.parametrize("value", ["-1", "1" + "0" * 30, "text", "x" * 50_000, "1, 2", "٣"])
def test_a_malformed_last_event_id_starts_over(served: Site, value: str) -> None:
    alice = served.person("alice")
    answer = ids_in(alice.send("hello there"))[1]
    alice.answer(answer)
    headers = {"Last-Event-ID": value.encode()}
    try:
        response = alice.http.get(f"/m/{answer}/stream/?protocol=sse", headers=headers)
    except httpx2.RemoteProtocolError:  # daphne closes the connection over a header line of 16 KB
        assert len(value) > 16_000
        return
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert "there" in response.text


def test_files_are_not_taken(served: Site) -> None:
    alice = served.person("alice")
    fields = {"csrfmiddlewaretoken": alice.csrf()}
    response = alice.http.post("/c/", data=fields, files={"file": ("a.png", b"\x89PNG", "image/png")})
    assert response.status_code == 422


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"


@pytest.mark.parametrize(
    ("sent", "kind", "shown"),
    [
        (b"nul %00 here", FORM, "nul \N{REPLACEMENT CHARACTER} here"),
        (b"half a character %ff here", FORM, "half a character \N{REPLACEMENT CHARACTER} here"),
        (b"half a surrogate %ed%a0%bd here", FORM, "half a surrogate \N{REPLACEMENT CHARACTER}"),
        ("caf\u00e9 here".encode(), f"{FORM}; charset=no-such-charset", "caf\u00e9 here"),
        (b"+ADw-b+AD4-", f"{FORM}; charset=utf-7", None),
        (b"here", MULTIPART, None),
        (b"here", f"{MULTIPART}; boundary=", None),
        (b"here", f"{MULTIPART}; boundary=" + "b" * 5000, None),
    ],
)
def test_odd_bytes_are_stored_as_text_or_refused(served: Site, sent: bytes, kind: str, shown: str | None) -> None:
    alice = served.person("alice")
    token = alice.csrf()
    body = b"csrfmiddlewaretoken=" + token.encode() + b"&prompt=" + sent
    headers = {"Content-Type": kind, "X-CSRFToken": token, "HX-Request": "true"}
    response = alice.http.post("/c/", content=body, headers=headers)
    if shown is None:
        assert response.status_code == 400
        assert "Traceback" not in served.log
    else:
        assert response.status_code == 200
        chat = ids_in(response)[0]
        assert shown in alice.http.get(f"/c/{chat}/").text


def test_a_form_chooses_nothing_but_text_and_model(served: Site, provider: FakeProvider) -> None:
    greedy = {"base_url": "http://127.0.0.1:1", "api_key": "k", "system": "x", "temperature": "1e9", "n": "100"}
    more = {"max_tokens": "1000000000", "user": "1", "status": "complete", "id": str(uuid.uuid4())}
    alice = served.person("alice")
    answer = ids_in(alice.send("say it", **greedy, **more))[1]
    assert alice.answer(answer)
    asked = provider.chats()[-1]["json"]
    assert not set(asked) & {"base_url", "api_key", "system", "temperature", "n", "user", "status", "id"}
    assert asked["messages"] == [{"role": "user", "content": "say it"}]
    assert asked["max_tokens"] <= 4096


@pytest.mark.parametrize("title", ["t" * 10_000, "\u202egnp.exe", "<img src=x onerror=alert(1)>\x00", "  ", "\ud83d"])
def test_a_title_is_cut_escaped_and_isolated(served: Site, title: str) -> None:
    alice = served.person("alice")
    chat = ids_in(alice.send("hello"))[0]
    given = title.encode("utf-8", "surrogatepass")
    headers = {"Content-Type": FORM, "X-CSRFToken": alice.csrf()}
    response = alice.http.post(f"/c/{chat}/rename/", content=b"title=" + quote(given).encode(), headers=headers)
    assert response.status_code < 500
    page = alice.http.get(f"/c/{chat}/").text
    assert "t" * 201 not in page
    assert "<img" not in page
    if title.startswith("\u202e"):
        assert f"<bdi>{title}</bdi>" in page


@pytest.mark.parametrize(
    "fields",
    [{"username": "n" * 1_000_000}, {"password": "p" * 1_000_000}, {"username": "\x00"}],
    ids=["n", "p", "nul"],
)
def test_an_odd_login_is_a_form_error(served: Site, fields: dict[str, str]) -> None:
    with httpx2.Client(base_url=served.url, timeout=10) as http:
        token = token_in(http.get("/accounts/login/").text)
        data = {"username": f"{uuid.uuid4()}", "password": "wrong", "csrfmiddlewaretoken": token, **fields}
        response = http.post("/accounts/login/", data=data)
        assert response.status_code == 200


def test_who_is_not_logged_in_is_told_as_it_can_be_read(served: Site) -> None:
    with httpx2.Client(base_url=served.url) as http:
        assert http.get("/").headers["Location"].startswith("/accounts/login/")
        token = token_in(http.get("/accounts/login/").text)
        headers = {"HX-Request": "true", "X-CSRFToken": token, "Origin": served.url}
        sent = http.post("/c/", data={"prompt": "hello"}, headers=headers)
        assert sent.status_code == 401
        assert sent.headers["HX-Redirect"].startswith("/accounts/login/")
        for protocol in ("html", "text", "sse", "ui"):
            assert http.get(f"/m/{uuid.uuid4()}/stream/?protocol={protocol}").status_code == 401


def test_a_thousand_fields_are_too_many(served: Site) -> None:
    alice = served.person("alice")
    assert alice.post("/c/", {f"f{n}": "x" for n in range(1001)}).status_code == 400


def test_looking_costs_nothing(served: Site, provider: FakeProvider) -> None:
    alice = served.person("bob")
    answer = ids_in(alice.send("hello"))[1]
    alice.answer(answer)
    before = len(provider.chats())
    for method in ("HEAD", "OPTIONS", "POST", "FOO"):
        code = alice.http.request(method, f"/m/{answer}/stream/", headers={"X-CSRFToken": alice.csrf()}).status_code
        assert code in (200, 405)
    assert len(provider.chats()) == before
