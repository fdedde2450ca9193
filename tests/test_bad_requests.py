"""What a hostile client can send over a socket: the right status, nothing stored, the process stays up."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fakes import FakeUpstream
from tests.services import postgres_database
from tests.site import Site, ids_in

MEGABYTE = 1_048_576


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "uvicorn on PostgreSQL"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "site.sqlite3").write_bytes(migrated.read_bytes())
    server, _, database = request.param.partition(" on ")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream())
        env = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test"}
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


def test_a_thousand_fields_are_too_many(served: Site) -> None:
    alice = served.person("alice")
    assert alice.post("/c/", {f"f{n}": "x" for n in range(1001)}).status_code == 400


def test_looking_costs_nothing(served: Site) -> None:
    alice = served.person("bob")
    answer = ids_in(alice.send("hello"))[1]
    alice.answer(answer)
    for method in ("HEAD", "OPTIONS", "POST", "FOO"):
        code = alice.http.request(method, f"/m/{answer}/stream/", headers={"X-CSRFToken": alice.csrf()}).status_code
        assert code in (200, 405)
