"""Compare daphne and uvicorn: clients that do not read, an interrupted plain-text stream, SIGTERM.

    python benchmarks/servers.py [READERS] [KILOBYTES]

READERS connections request answers of KILOBYTES KB and read nothing. The growth of the server's memory is what it
buffers for them. A user has at most 32 readers, so there are as many users as that takes.
"""

from __future__ import annotations

import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx2

from tests.fakes import FakeProvider, Gate, gated, reset_after, text
from tests.site import Person, Site, ids_in

MAX_READERS = 32
"""Open streams of one user; the site closes the oldest of more."""


def resident(site: Site) -> float:
    """Resident memory of the server in MB."""
    status = Path(f"/proc/{site.processes[-1].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def open_slow(site: Site, person: Person, answer: str) -> socket.socket:
    """Request the stream of an answer on a connection with a small receive buffer, and read nothing."""
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", site.port))
    head = f"GET /m/{answer}/stream/?protocol=text HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nCookie: {cookies}\r\n\r\n"
    reader.sendall(head.encode())
    return reader


def slow_readers(site: Site, upstream: FakeProvider, count: int, kilobytes: int) -> str:
    readers_per_person = [min(MAX_READERS, count - start) for start in range(0, count, MAX_READERS)]
    people = [site.person(f"reader{number}") for number in range(len(readers_per_person))]
    answers = []
    for person in people:
        upstream.enqueue(text(*["x" * 1023 + " "] * kilobytes))
        answers.append(ids_in(person.send("go"))[1])
        person.answer(answers[-1])
    before = resident(site)
    readers = [
        open_slow(site, person, answer)
        for person, answer, readers_of_person in zip(people, answers, readers_per_person, strict=True)
        for _ in range(readers_of_person)
    ]
    time.sleep(4)
    growth = resident(site) - before
    started = time.monotonic()
    people[0].http.get("/healthz")
    delay = (time.monotonic() - started) * 1000
    for reader in readers:
        reader.close()
    return f"{len(readers)} slow readers of {kilobytes} KB: +{growth:.0f} MB, /healthz took {delay:.0f} ms"


def interrupted_stream(site: Site, upstream: FakeProvider) -> str:
    alice = site.person("alice")
    upstream.enqueue(reset_after("some words "))
    answer = ids_in(alice.send("go"))[1]
    started = time.monotonic()
    try:
        alice.http.get(f"/m/{answer}/stream/?protocol=text", timeout=10)
        end = "looked complete"
    except httpx2.ReadTimeout:
        end = "did not end"
    except httpx2.TransportError as error:
        end = f"ended as {type(error).__name__}"
    return f"interrupted plain text: {end} after {time.monotonic() - started:.2f} s"


def sigterm(site: Site, upstream: FakeProvider) -> str:
    alice = site.person("alice")
    gate = Gate()
    upstream.always(gated(gate))
    for _ in range(4):
        alice.send("go")
    gate.wait_until_reached(4)
    started = time.monotonic()
    site.signal(signal.SIGTERM)
    site.processes[-1].wait(30)
    seconds = time.monotonic() - started
    code = "from chat.models import Message; print(Message.objects.running().count())"
    return f"SIGTERM with 4 answers: stopped after {seconds:.2f} s, still marked as running: {site.shell(code)}"


def main(count: int, kilobytes: int) -> None:
    for server in ("daphne", "uvicorn"):
        with tempfile.TemporaryDirectory() as folder, FakeProvider() as upstream:
            site = Site(Path(folder), OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test")
            site.manage("migrate", "--verbosity", "0")
            site.add_people("alice", *(f"reader{number}" for number in range(-(-count // MAX_READERS))))
            site.start(server)
            print(server, "·", slow_readers(site, upstream, count, kilobytes), flush=True)
            print(server, "·", interrupted_stream(site, upstream), flush=True)
            print(server, "·", sigterm(site, upstream), flush=True)
            site.stop()


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["100", "2000"][len(sys.argv) - 1 :])[:2]))
