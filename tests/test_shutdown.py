"""A server that is told to stop saves what runs and says so."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from tests.fakes import FakeProvider, Gate, gated
from tests.site import ROOT, Site, free_port, ids_in
from tests.waiting import wait_until

GENERATIONS = 20
VIEWERS = 10
SAVED = (
    "from chat.models import Message, UsageRecord\n"
    "done = Message.objects.filter(status='interrupted', error_code='restarted', content='kept ')\n"
    "print(done.count(), UsageRecord.objects.count(), Message.objects.running().count())"
)
TEXTS = "from chat.models import Message; print(Message.objects.filter(content='kept ').count())"
"""How many answers have a checkpoint or an end."""
NO_LIMITS = "from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)"


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_sigterm_saves_every_answer_and_every_viewer_hears_of_it(
    make_site: Callable[..., Site], upstream: FakeProvider, server: str
) -> None:
    site = make_site()
    site.shell(NO_LIMITS)
    site.start(server)
    alice = site.person("alice")
    gate = Gate()
    upstream.always(gated(gate, before=["kept "]))
    answers = [ids_in(alice.send("go"))[1] for _ in range(GENERATIONS)]
    gate.wait_until_reached(GENERATIONS)
    seen: list[str] = []
    opened = threading.Semaphore(0)

    def watch(answer: str) -> None:
        with alice.watch(answer, "html") as response:
            pieces = response.iter_text()
            first = next(pieces)
            opened.release()
            seen.append(first + "".join(pieces))

    viewers = [threading.Thread(target=watch, args=(answer,)) for answer in answers[:VIEWERS]]
    for viewer in viewers:
        viewer.start()
    for _ in viewers:
        assert opened.acquire(timeout=20)
    half_sent = socket.create_connection(("127.0.0.1", site.port))
    half_sent.sendall(b"POST /c/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nprompt=")
    site.signal(signal.SIGTERM)
    site.processes[-1].wait(10)
    for viewer in viewers:
        viewer.join(10)
    assert len(seen) == VIEWERS
    for body in seen:
        assert "The site was restarted. The answer so far is saved." in body
        assert "Continue" in body
        assert body.rstrip().endswith("event: done\ndata:") or "event: done" in body
    assert site.shell(SAVED) == f"{GENERATIONS} {GENERATIONS} 0"
    assert "Traceback" not in site.log
    if server == "uvicorn":  # daphne waits for the whole body before it asks us
        assert b" 503 " in half_sent.recv(100)
    half_sent.close()


def test_runserver_saves_when_it_reloads_and_when_it_is_told_to_stop(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site(DEBUG="1")
    site.shell(NO_LIMITS)
    site.port = free_port()
    command = [sys.executable, "manage.py", "runserver", str(site.port)]
    with (site.folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=site.env, stdout=log, stderr=log, start_new_session=True)
    site.processes.append(process)
    site._wait_until_up(process)
    gate = Gate()
    upstream.always(gated(gate, before=["kept "]))
    try:
        alice = site.person("alice")
        for _ in range(3):
            alice.send("go")
        gate.wait_until_reached(3)
        wait_until(lambda: site.shell(TEXTS) == "3")
        (ROOT / "chat" / "__init__.py").touch()
        wait_until(lambda: site.shell(SAVED) == "3 3 0")
        site._wait_until_up(process)
        for _ in range(3):
            alice.send("go")
        gate.wait_until_reached(3)
        wait_until(lambda: site.shell(TEXTS) == "6")
        os.kill(_child_of(process.pid), signal.SIGTERM)
        process.wait(10)
        assert site.shell(SAVED) == "6 6 0"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _child_of(pid: int) -> int:
    """The process that serves; the outer one only starts it anew."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int(file.read().split()[0])
