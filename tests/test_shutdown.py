"""A server that is told to stop saves what runs, and says so to its readers."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes import FakeProvider, Gate, gated
from tests.site import ROOT, Person, Site, free_port, ids_in
from tests.waiting import wait_until

GENERATIONS = 20
READERS = 10
SAVED = (
    "from chat.models import Message, UsageRecord\n"
    "done = Message.objects.filter(status='interrupted', error_code='restarted', content='kept ')\n"
    "print(done.count(), UsageRecord.objects.count(), Message.objects.running().count())"
)
NO_LIMITS = "from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)"


def start_answers(alice: Person, gate: Gate, count: int) -> list[str]:
    """Answers that have said "kept " and wait at the gate."""
    answers = [ids_in(alice.send("go"))[1] for _ in range(count)]
    gate.wait_until_reached(count)
    for answer in answers:
        with alice.watch(answer) as response:
            assert next(response.iter_text()) == "kept "
    return answers


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A site after SIGTERM, with what its readers and a client in the middle of a form were sent."""

    server: str
    site: Site
    streams: list[str]
    half_sent: bytes


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def stopped(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated: Path
) -> Iterator[Stopped]:
    folder = tmp_path_factory.mktemp("shutdown")
    (folder / "site.sqlite3").write_bytes(migrated.read_bytes())
    with FakeProvider() as provider, ThreadPoolExecutor(READERS) as pool:
        site = Site(folder, OPENAI_BASE_URL=provider.url, OPENAI_API_KEY="sk-test")
        site.shell(NO_LIMITS)
        site.start(request.param)
        alice, gate = site.person("alice"), Gate()
        provider.always(gated(gate, before=["kept "]))
        opened: list[str] = []

        def read(answer: str) -> str:
            with alice.watch(answer, "html") as response:
                pieces = response.iter_text()
                first = next(pieces)
                opened.append(answer)
                return first + "".join(pieces)

        answers = start_answers(alice, gate, GENERATIONS)
        readers: list[Future[str]] = [pool.submit(read, answer) for answer in answers[:READERS]]
        wait_until(lambda: len(opened) == READERS)
        half_sent = socket.create_connection(("127.0.0.1", site.port), timeout=10)
        half_sent.sendall(b"POST /c/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nprompt=")
        site.signal(signal.SIGTERM)
        site.processes[-1].wait(15)
        yield Stopped(
            server=request.param,
            site=site,
            streams=[reader.result(10) for reader in readers],
            half_sent=half_sent.recv(100),
        )
        half_sent.close()
        site.stop()


def test_every_answer_is_saved(stopped: Stopped) -> None:
    assert stopped.site.shell(SAVED) == f"{GENERATIONS} {GENERATIONS} 0"


def test_every_reader_is_told(stopped: Stopped) -> None:
    for body in stopped.streams:
        assert "The site was restarted. The answer so far is saved." in body
        assert "Continue" in body


def test_every_stream_is_closed_in_order(stopped: Stopped) -> None:
    for body in stopped.streams:
        assert "event: done" in body


def test_nothing_fails_on_the_way(stopped: Stopped) -> None:
    assert "Traceback" not in stopped.site.log


def test_a_request_that_is_not_complete_is_refused(stopped: Stopped) -> None:
    if stopped.server == "daphne":  # it calls the site only when the whole body is there
        assert stopped.half_sent == b""
    else:
        assert b" 503 " in stopped.half_sent


@pytest.fixture
def runserver(make_site: Callable[..., Site]) -> Iterator[tuple[Site, subprocess.Popen[bytes]]]:
    """The development server with its reloader."""
    site = make_site(DEBUG="1")
    site.shell(NO_LIMITS)
    site.port = free_port()
    command = [sys.executable, "manage.py", "runserver", str(site.port)]
    with (site.folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=site.env, stdout=log, stderr=log, start_new_session=True)
    site.processes.append(process)
    try:
        site.wait_until_up(process)
        yield site, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_the_development_server_saves_when_it_reloads(
    runserver: tuple[Site, subprocess.Popen[bytes]], upstream: FakeProvider
) -> None:
    site, _process = runserver
    gate = Gate()
    upstream.always(gated(gate, before=["kept "]))
    start_answers(site.person("alice"), gate, 3)
    (ROOT / "chat" / "__init__.py").touch()
    wait_until(lambda: site.shell(SAVED) == "3 3 0")


def test_the_development_server_saves_when_it_is_told_to_stop(
    runserver: tuple[Site, subprocess.Popen[bytes]], upstream: FakeProvider
) -> None:
    site, process = runserver
    gate = Gate()
    upstream.always(gated(gate, before=["kept "]))
    start_answers(site.person("alice"), gate, 3)
    os.kill(child_of(process.pid), signal.SIGTERM)
    process.wait(15)
    assert site.shell(SAVED) == "3 3 0"


def child_of(pid: int) -> int:
    """The process that serves; the outer one only restarts it."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])
