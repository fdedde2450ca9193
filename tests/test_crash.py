"""Servers that die, and what the others make of it."""

from __future__ import annotations

import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes import FakeProvider, Gate, Pace, Script, chunk, echo, gated, tokens
from tests.services import RedisServer
from tests.site import Person, Site, ids_in
from tests.test_straight_line import status_of, wait_for_status

CRASHES = 300 if os.environ.get("SOAK") == "1" else 12
AT_ONCE = 2
INTERVAL = 0.02
WORDS = 400
BUSY = 1.0  # what a machine that does much else may be late
LEDGER = (
    "from collections import Counter\n"
    "from chat.models import UsageRecord\n"
    "rows = Counter(UsageRecord.objects.values_list('message_id', flat=True))\n"
    "print(len(rows), max(rows.values()), UsageRecord.objects.filter(status='interrupted', exact=True).count())"
)
TEXT = "from chat.models import Message; print(Message.objects.get(pk='{}').content, end='|')"
LEASES = "from chat.limits import limiter; print(len(limiter.current().reservations_sync('user:1')))"


def kill(site: Site, number: int = -1) -> None:
    process = site.processes.pop(number)
    process.kill()
    process.wait()


def move(person: Person, url: str) -> None:
    """The same browser at another address: cookies do not know ports."""
    person.http.base_url = url
    person.http.headers["Origin"] = url


def send_some(person: Person, count: int) -> list[tuple[str, str, float]]:
    sent = []
    for _ in range(count):
        chat, answer = ids_in(person.send("go"))
        sent.append((chat, answer, time.monotonic()))
        time.sleep(random.uniform(0, 0.2))
    return sent


def telling_the_time(_request: dict[str, Any]) -> Script:
    """Words that say when they were sent, by the clock that also times the kill."""
    return Script([Pace((chunk(f"{time.monotonic():.3f} ") for _ in range(WORDS)), INTERVAL)])


@pytest.mark.timeout(1800)
def test_a_server_killed_at_any_moment_loses_a_second_of_text_and_nothing_else(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site()
    site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)")
    site.start()
    alice = site.person("alice")
    answers: list[str] = []
    lost: list[float] = []
    for _ in range(CRASHES):
        upstream.default = telling_the_time
        sent = send_some(alice, AT_ONCE)
        time.sleep(random.uniform(0, 1.5))
        killed = time.monotonic()
        kill(site)
        move(alice, site.start())
        upstream.default = echo
        for chat, answer, since in sent:
            text = alice.http.get(f"/m/{answer}/stream/?protocol=ui").text
            assert "The answer so far is saved." in text
            status = status_of(alice, chat, answer)
            assert status in ("interrupted", "failed")
            page = alice.http.get(f"/c/{chat}/").text
            assert "The answer so far is saved." in page
            assert ("Continue" in page) == (status == "interrupted")
            assert "Retry" in page
            said = [float(word) for word in page_text(page, answer).split()]
            assert said == sorted(said)
            lost.append(killed - max(said, default=since))
            answers.append(answer)
        assert alice.send("and now?", sent[0][0]).status_code == 200, "the conversation is free at once"
    alice.answer(ids_in(alice.send("last"))[1])
    rows, most, exact = site.shell(LEDGER).split()
    assert int(rows) >= len(answers)
    assert (most, exact) == ("1", "0")
    print("seconds of text lost:", *(f"{seconds:.2f}" for seconds in sorted(lost)))
    assert statistics.median(lost) < 1
    assert max(lost) < 1 + BUSY


def page_text(page: str, answer: str) -> str:
    """The source of an answer as its Copy button has it."""
    article = page.partition(f'id="m-{answer}"')[2].partition("</article>")[0]
    return article.partition('<template class="source">')[2].partition("</template>")[0]


@pytest.fixture
def pair(
    make_site: Callable[..., Site], postgres: str, redis_server: RedisServer
) -> Iterator[tuple[Site, Callable[[int], Person]]]:
    """Two processes of one site, and alice at either."""
    site = make_site(DATABASE_URL=postgres, REDIS_URL=redis_server.url)
    urls = [site.start("daphne"), site.start("uvicorn")]

    def alice_at(number: int) -> Person:
        person = Person(urls[number], "alice")
        site.people.append(person)
        return person

    yield site, alice_at
    for process in site.processes:
        process.send_signal(signal.SIGCONT)


def test_two_processes_behave_as_one_site(
    pair: tuple[Site, Callable[[int], Person]], upstream: FakeProvider, redis_server: RedisServer
) -> None:
    site, alice_at = pair
    here, there = alice_at(0), alice_at(1)

    upstream.enqueue(tokens(120, interval=0.01))
    answer = ids_in(here.send("count"))[1]
    with ThreadPoolExecutor(6) as pool:
        early = [pool.submit(there.answer, answer, protocol) for protocol in ("text", "sse", "html") for _ in "12"]
        texts = [future.result() for future in early]
    expected = "".join(f"word{n} " for n in range(120))
    assert texts[:2] == [expected, expected]
    assert 'data-status="complete"' in texts[4]
    assert there.answer(answer) == expected

    gate = Gate()
    upstream.enqueue(gated(gate, before=["kept "], after=["never"]))
    chat, answer = ids_in(here.send("stop me"))
    gate.wait_until_reached()
    assert there.post(f"/m/{answer}/stop/").status_code == 204
    assert upstream.history[-1]["left"].wait(5)
    wait_for_status(there, chat, answer, "stopped")
    assert len(upstream.chats()) == 2

    gate = Gate()
    upstream.enqueue(gated(gate, before=["slow "], after=["but sure"]))
    chat, answer = ids_in(here.send("sleep"))
    gate.wait_until_reached()
    site.processes[0].send_signal(signal.SIGSTOP)
    try:
        time.sleep(7)
        assert status_of(there, chat, answer) in ("pending", "streaming"), "a process that only sleeps is alive"
    finally:
        site.processes[0].send_signal(signal.SIGCONT)
    gate.open()
    assert there.answer(answer) == "slow but sure"

    dying, living = Gate(), Gate()
    upstream.enqueue(gated(dying, before=["half "]), gated(living, before=["my "], after=["own"]))
    chat, answer = ids_in(here.send("die"))
    dying.wait_until_reached()
    other_chat, other = ids_in(there.send("live"))
    living.wait_until_reached()
    redis_server.client().ping()
    seen: list[str] = []
    viewer = threading.Thread(target=lambda: seen.append(there.answer(answer, "html")))
    viewer.start()
    time.sleep(1.6)  # a checkpoint has the text
    kill(site, 0)
    viewer.join(25)
    assert seen
    assert 'data-status="interrupted"' in seen[0]
    assert "The answer so far is saved." in seen[0]
    assert "event: done" in seen[0]
    assert status_of(there, other_chat, other) in ("pending", "streaming")
    living.open()
    assert there.answer(other) == "my own"
    assert site.shell(LEASES) == "0"
    rows, most, _exact = site.shell(LEDGER).split()
    assert (rows, most) == ("5", "1")


def test_the_shell_closes_what_a_dead_server_left(make_site: Callable[..., Site], upstream: FakeProvider) -> None:
    site = make_site()
    site.start()
    gate = Gate()
    upstream.enqueue(gated(gate))
    answer = ids_in(site.person("alice").send("go"))[1]
    gate.wait_until_reached()
    assert site.manage("recover").stdout.strip() == "Answers closed: 0. Still running: 1."
    kill(site)
    assert site.manage("recover").stdout.strip() == "Answers closed: 1. Still running: 0."
    assert "first" in site.shell(TEXT.format(answer)) or site.shell(TEXT.format(answer)) == "|"
    site.env["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    result = site.manage("recover", check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
