"""More requests than threads, over real sockets: nothing deadlocks, and who waits too long is told so."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from chat.infra.request_thread_pool import MAX_THREADS
from tests.site import Person, Site
from tests.waiting import wait_until

CROWD = 100
NO_LIMITS = (
    "from chat.models import Plan; Plan.objects.update("
    "requests_per_minute=None, requests_per_day=None, concurrent_answers=None)"
)


def slow_upload(site: Site, person: Person, token: str) -> tuple[socket.socket, bytes]:
    """A form that has arrived but for its last bytes, and those bytes."""
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    form = f"prompt=slowly&client_key={uuid.uuid4()}&csrfmiddlewaretoken={token}".encode()
    head = [
        "POST /c/ HTTP/1.1",
        f"Host: 127.0.0.1:{site.port}",
        f"Cookie: {cookies}",
        f"Origin: {site.url}",
        "HX-Request: true",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
        "Connection: close",
    ]
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    connection.sendall("\r\n".join([*head, "", ""]).encode() + form[:-10])
    return connection, form[-10:]


def status_of(connection: socket.socket) -> int:
    return int(connection.recv(12).split(b" ")[1])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_slow_uploads_do_not_hold_up_those_who_send(make_site: Callable[..., Site], server: str) -> None:
    site = make_site()
    site.shell(NO_LIMITS)
    site.start(server)
    alice, bob = site.person("alice"), site.person("bob")
    token = alice.csrf()
    headers = {"X-CSRFToken": bob.csrf(), "HX-Request": "true"}

    def send(number: int) -> int:
        form = {"prompt": f"hello {number}", "client_key": str(uuid.uuid4())}
        return bob.http.post("/c/", data=form, headers=headers, timeout=60).status_code

    with contextlib.ExitStack() as stack:
        uploads = [slow_upload(site, alice, token) for _ in range(CROWD)]
        for connection, _rest in uploads:
            stack.enter_context(connection)
        with ThreadPoolExecutor(10) as pool:
            assert list(pool.map(send, range(CROWD))) == [200] * CROWD
        for connection, rest in uploads:
            connection.sendall(rest)
        assert [status_of(connection) for connection, _rest in uploads] == [200] * CROWD


@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_who_gets_no_thread_is_refused_within_ten_seconds(make_site: Callable[..., Site], server: str) -> None:
    site = make_site()
    site.shell(NO_LIMITS)
    site.start(server)
    alice = site.person("alice")
    headers = {"X-CSRFToken": alice.csrf(), "HX-Request": "true"}

    def send(_number: int) -> tuple[httpx2.Response, float]:
        started = time.monotonic()
        form = {"prompt": "hello", "client_key": str(uuid.uuid4())}
        response = alice.http.post("/c/", data=form, headers=headers, timeout=60)
        return response, time.monotonic() - started

    alice.ask("the first one registers the process in the database")
    locked = sqlite3.connect(site.folder / "site.sqlite3", isolation_level=None)
    with contextlib.closing(locked), ThreadPoolExecutor(MAX_THREADS * 3) as pool:
        locked.execute("BEGIN IMMEDIATE")  # every thread that writes now waits for this
        sent = [pool.submit(send, number) for number in range(MAX_THREADS * 3)]
        wait_until(
            lambda: sum(future.done() for future in sent) == MAX_THREADS * 2,
            message=lambda: [future.done() and (future.result()[0].status_code, future.result()[1]) for future in sent],
        )
        locked.execute("ROLLBACK")
        answers = [future.result() for future in sent]
    refused = [(response, seconds) for response, seconds in answers if response.status_code == 503]
    assert len(refused) == MAX_THREADS * 2
    for response, seconds in refused:
        assert seconds < 10
        assert "The site is busy. Try again in a moment." in response.text
        assert response.headers["Retry-After"] == "5"
    assert {response.status_code for response, _seconds in answers} == {200, 503}
    assert "Traceback" not in site.log
