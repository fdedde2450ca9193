"""Servers that are killed or paused, and what other servers do about it."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.answers import status_of, wait_for_status
from tests.crashes import connect_to, kill_after
from tests.fakes import FakeProvider, Gate, Pace, Script, chunk, echo, gated, tokens
from tests.services import RedisServer
from tests.site import Person, Site, ids_in
from tests.waiting import wait_until

CRASHES = 300 if os.environ.get("SOAK") == "1" else 12
AT_ONCE = 2
INTERVAL = 0.02
WORDS = 400
BUSY = 1.0  # seconds that a busy machine may be late
LEDGER = (
    "from collections import Counter\n"
    "from chat.models import UsageRecord\n"
    "rows = Counter(UsageRecord.objects.values_list('message_id', flat=True))\n"
    "print(len(rows), max(rows.values()), UsageRecord.objects.filter(status='interrupted', exact=True).count())"
)
TEXT = "from chat.models import Message; print(Message.objects.get(pk='{}').content, end='|')"
RESERVATIONS = "from chat.limits import limiter; print(len(limiter.current().reservations_sync('user:1')))"


def wait_for_heartbeats(database: str, count: int) -> None:
    """Wait until the processes of the site have written so many heartbeats. After each they look for dead processes."""
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(count):
            last = newest_heartbeat(connection)
            wait_until(lambda last=last: newest_heartbeat(connection) > last, interval=0.1)  # type: ignore[misc]


def newest_heartbeat(connection: psycopg.Connection[Any]) -> dt.datetime:
    row = connection.execute("SELECT max(heartbeat_at) FROM chat_serverprocess").fetchone()
    return row[0] if row else dt.datetime.min


def wait_for_stored_text(database: str, answer: str, text: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        query = "SELECT 1 FROM chat_message WHERE id = %s AND content = %s"
        wait_until(lambda: connection.execute(query, (answer, text)).fetchone(), interval=0.1)


def send_some(person: Person, count: int) -> list[tuple[str, str, float]]:
    """Send at random times. Returns conversation, answer and time of each message."""
    sent = []
    for _ in range(count):
        chat, answer = ids_in(person.send("go"))
        sent.append((chat, answer, time.monotonic()))
        time.sleep(random.uniform(0, 0.2))
    return sent


def times_of_sending(_request: dict[str, Any]) -> Script:
    """Each word is the time when it is sent, by the clock that also times the kill."""
    return Script([Pace((chunk(f"{time.monotonic():.3f} ") for _ in range(WORDS)), INTERVAL)])


@pytest.mark.timeout(1800)
def test_a_server_killed_at_any_time_loses_at_most_a_second_of_text(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site()
    site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)")
    site.start()
    alice = site.person("alice")
    answers: list[str] = []
    lost: list[float] = []
    for _ in range(CRASHES):
        upstream.default = times_of_sending
        sent = send_some(alice, AT_ONCE)
        killed = kill_after(site, random.uniform(0, 1.5))
        connect_to(alice, site.start())
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
        assert alice.send("and now?", sent[0][0]).status_code == 200, "the conversation accepts messages at once"
    alice.answer(ids_in(alice.send("last"))[1])
    rows, rows_per_answer, exact = site.shell(LEDGER).split()
    assert int(rows) >= len(answers)
    assert (rows_per_answer, exact) == ("1", "0")
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
    """Two processes of one site, and alice as a user of either."""
    site = make_site(DATABASE_URL=postgres, REDIS_URL=redis_server.url)
    urls = [site.start("daphne"), site.start("uvicorn")]

    def alice_at(number: int) -> Person:
        person = Person(urls[number], "alice")
        site.people.append(person)
        return person

    yield site, alice_at
    for process in site.processes:
        process.send_signal(signal.SIGCONT)


Pair = tuple[Site, Callable[[int], Person]]


def test_readers_at_another_process_get_the_whole_answer(pair: Pair, upstream: FakeProvider) -> None:
    _site, alice_at = pair
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
    assert len(upstream.chats()) == 1


def test_an_answer_is_stopped_at_another_process(pair: Pair, upstream: FakeProvider) -> None:
    _site, alice_at = pair
    here, there = alice_at(0), alice_at(1)
    gate = Gate()
    upstream.enqueue(gated(gate, before=["kept "], after=["never"]))
    chat, answer = ids_in(here.send("stop me"))
    gate.wait_until_reached()
    assert there.post(f"/m/{answer}/stop/").status_code == 204
    assert upstream.history[-1]["left"].wait(5)
    wait_for_status(there, chat, answer, "stopped")
    assert len(upstream.chats()) == 1


def test_a_paused_process_is_not_taken_for_dead(pair: Pair, upstream: FakeProvider) -> None:
    site, alice_at = pair
    here, there = alice_at(0), alice_at(1)
    there.ask("hello")  # only a process that had an answer writes heartbeats
    gate = Gate()
    upstream.enqueue(gated(gate, before=["slow "], after=["but sure"]))
    chat, answer = ids_in(here.send("sleep"))
    gate.wait_until_reached()
    site.processes[0].send_signal(signal.SIGSTOP)
    try:
        wait_for_heartbeats(site.env["DATABASE_URL"], 2)
        assert status_of(there, chat, answer) in ("pending", "streaming")
    finally:
        site.processes[0].send_signal(signal.SIGCONT)
    gate.open()
    assert there.answer(answer) == "slow but sure"


def test_a_dead_process_ends_its_answers_and_no_others(pair: Pair, upstream: FakeProvider) -> None:
    site, alice_at = pair
    here, there = alice_at(0), alice_at(1)
    dying, living = Gate(), Gate()
    upstream.enqueue(gated(dying, before=["half "]), gated(living, before=["my "], after=["own"]))
    _chat, answer = ids_in(here.send("die"))
    dying.wait_until_reached()
    other_chat, other = ids_in(there.send("live"))
    living.wait_until_reached()
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(there.answer(answer, "html")))
    reader.start()
    wait_for_stored_text(site.env["DATABASE_URL"], answer, "half ")
    site.kill(0)
    reader.join(25)
    assert seen
    assert 'data-status="interrupted"' in seen[0]
    assert "The answer so far is saved." in seen[0]
    assert "event: done" in seen[0]
    assert status_of(there, other_chat, other) in ("pending", "streaming")
    living.open()
    assert there.answer(other) == "my own"
    assert site.shell(RESERVATIONS) == "0"
    rows, rows_per_answer, _exact = site.shell(LEDGER).split()
    assert (rows, rows_per_answer) == ("2", "1")


def test_the_command_recover_closes_the_answers_of_a_dead_server(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    site = make_site()
    site.start()
    gate = Gate()
    upstream.enqueue(gated(gate))
    answer = ids_in(site.person("alice").send("go"))[1]
    gate.wait_until_reached()
    assert site.manage("recover").stdout.strip() == "Answers closed: 0. Still running: 1."
    site.kill()
    assert site.manage("recover").stdout.strip() == "Answers closed: 1. Still running: 0."
    assert site.shell(TEXT.format(answer)) in ("|", "first |")
    site.env["DATABASE_URL"] = "postgres://nobody@127.0.0.1:1/none"
    result = site.manage("recover", check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
