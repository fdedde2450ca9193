"""The database away, viewers in great number, readers that do not read."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.fakes import FakeUpstream, Gate, gated, tokens
from tests.services import Proxy
from tests.site import Site, ids_in
from tests.test_straight_line import wait_for_status

ROWS = (
    "from chat.models import UsageRecord, Message\n"
    "print(UsageRecord.objects.count(), Message.objects.running().count())"
)


def test_an_answer_goes_on_while_the_database_is_away(
    make_site: Callable[..., Site], postgres: str, upstream: FakeUpstream
) -> None:
    parts = urlsplit(postgres)
    proxy = Proxy(parts.port or 5432)
    site = make_site(DATABASE_URL=postgres.replace(f":{parts.port or 5432}/", f":{proxy.port}/"))
    site.start()
    alice = site.person("alice")
    token = alice.csrf()
    gate = Gate()
    upstream.enqueue(gated(gate, before=["before "], after=["after"]))
    chat, answer = ids_in(alice.send("go"))
    gate.wait_until_reached()
    with alice.watch(answer) as response:
        pieces = response.iter_text()
        assert next(pieces) == "before "
        proxy.cut()
        refused = alice.http.post(
            "/c/", data={"prompt": "typed text"}, headers={"X-CSRFToken": token, "HX-Request": "true"}
        )
        assert refused.status_code == 503
        gate.open()
        time.sleep(2)
        proxy.mend()
        assert "".join(pieces) == "after"
    assert wait_for_status(alice, chat, answer, "complete")
    assert site.shell(ROWS) == "1 0"
    proxy.close()


def test_an_answer_goes_on_while_sqlite_is_locked(site: Site, upstream: FakeUpstream) -> None:
    alice = site.person("alice")
    upstream.enqueue(tokens(40, interval=0.02))
    chat, answer = ids_in(alice.send("go"))
    lock = sqlite3.connect(site.folder / "site.sqlite3", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    threading.Timer(3, lock.rollback).start()
    assert alice.answer(answer).split()[-1] == "word39"
    assert wait_for_status(alice, chat, answer, "complete")
    lock.close()
    assert site.shell(ROWS) == "1 0"


def test_a_storm_of_viewers_costs_one_call_and_the_oldest_make_room(site: Site, upstream: FakeUpstream) -> None:
    alice = site.person("alice")
    gate = Gate()
    upstream.enqueue(gated(gate, before=["one "], after=["two"]))
    answer = ids_in(alice.send("go"))[1]
    gate.wait_until_reached()
    opened = threading.Semaphore(0)
    closed: list[str] = []

    def watch(_number: int) -> str:
        with alice.watch(answer, "html") as response:
            pieces = response.iter_text()
            text = next(pieces)
            opened.release()
            text += "".join(pieces)
            closed.append(text)
            return text

    with ThreadPoolExecutor(36) as pool:
        early = [pool.submit(watch, number) for number in range(4)]
        for _ in early:
            assert opened.acquire(timeout=20)
        late = [pool.submit(watch, number) for number in range(32)]
        for _ in late:
            assert opened.acquire(timeout=20)
        ends = [future.result(10) for future in early]
        assert all("event: done" in end and "two" not in end for end in ends), "closed while the model is silent"
        gate.open()
        assert all('data-status="complete"' in future.result(20) for future in late)
    assert len(upstream.chats()) == 1
    ids = [re.findall(r"^id: (\d+)$", text, re.MULTILINE) for text in closed]
    assert all(numbers == sorted(numbers, key=int) for numbers in ids)
