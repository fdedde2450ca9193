"""daphne and uvicorn on this site: slow readers, a broken-off plain stream, SIGTERM.

    python benchmarks/servers.py [READERS] [KILOBYTES]

READERS connections of as many people as that takes (a person has at most 32 viewers) ask
for long answers and read nothing; the growth of the server's memory is what it buffers for them.
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

from tests.fakes import FakeUpstream, Gate, gated, reset_after, text
from tests.site import Person, Site, ids_in

VIEWERS = 32


def resident(site: Site) -> float:
    """MB of the server's memory."""
    status = Path(f"/proc/{site.processes[-1].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def open_slow(site: Site, person: Person, answer: str) -> socket.socket:
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", site.port))
    head = f"GET /m/{answer}/stream/?protocol=text HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nCookie: {cookies}\r\n\r\n"
    reader.sendall(head.encode())
    return reader


def slow_readers(site: Site, upstream: FakeUpstream, count: int, kilobytes: int) -> str:
    seats = [min(VIEWERS, count - start) for start in range(0, count, VIEWERS)]
    people = [site.person(f"reader{number}") for number in range(len(seats))]
    answers = []
    for person in people:
        upstream.enqueue(text(*["x" * 1023 + " "] * kilobytes))
        answers.append(ids_in(person.send("go"))[1])
        person.answer(answers[-1])
    before = resident(site)
    readers = [
        open_slow(site, person, answer)
        for person, answer, places in zip(people, answers, seats, strict=True)
        for _ in range(places)
    ]
    time.sleep(4)
    grown = resident(site) - before
    begun = time.monotonic()
    people[0].http.get("/healthz")
    wait = (time.monotonic() - begun) * 1000
    for reader in readers:
        reader.close()
    return f"{len(readers)} slow readers of {kilobytes} KB: +{grown:.0f} MB, healthz after {wait:.0f} ms"


def break_off(site: Site, upstream: FakeUpstream) -> str:
    alice = site.person("alice")
    upstream.enqueue(reset_after("some words "))
    answer = ids_in(alice.send("go"))[1]
    begun = time.monotonic()
    try:
        alice.http.get(f"/m/{answer}/stream/?protocol=text", timeout=10)
        end = "looked whole"
    except httpx2.ReadTimeout:
        end = "hung"
    except httpx2.TransportError as error:
        end = f"ended as {type(error).__name__}"
    return f"plain text broken off: {end} after {time.monotonic() - begun:.2f} s"


def sigterm(site: Site, upstream: FakeUpstream) -> str:
    alice = site.person("alice")
    gate = Gate()
    upstream.always(gated(gate))
    for _ in range(4):
        alice.send("go")
    gate.wait_until_reached(4)
    begun = time.monotonic()
    site.signal(signal.SIGTERM)
    site.processes[-1].wait(30)
    took = time.monotonic() - begun
    code = "from chat.models import Message; print(Message.objects.running().count())"
    return f"SIGTERM with 4 answers: out after {took:.2f} s, left running: {site.shell(code)}"


def main(count: int, kilobytes: int) -> None:
    for server in ("daphne", "uvicorn"):
        with tempfile.TemporaryDirectory() as folder, FakeUpstream() as upstream:
            site = Site(Path(folder), OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test")
            site.manage("migrate", "--verbosity", "0")
            site.add_people("alice", *(f"reader{number}" for number in range(-(-count // VIEWERS))))
            site.start(server)
            print(server, "·", slow_readers(site, upstream, count, kilobytes), flush=True)
            print(server, "·", break_off(site, upstream), flush=True)
            print(server, "·", sigterm(site, upstream), flush=True)
            site.stop()


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["100", "2000"][len(sys.argv) - 1 :])[:2]))
