"""The usage ledger is correct although servers are killed while answers run, end and are stopped."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx2
import pytest

from tests.crashes import call_after, connect_to, kill_after
from tests.fakes import FakeProvider
from tests.ledger import READ_LEDGER, STATUSES_BY_KIND, LedgerProvider
from tests.site import Person, Site, ids_in

KILLS = 200 if os.environ.get("SOAK") == "1" else 5
PEOPLE = ("alice", "bob", "sam")
KINDS = (*STATUSES_BY_KIND, *["fine"] * 8, "endless", "endless", "endless")
REMOVE_LIMITS = "from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)"


def keep_sending(site: Site, person: Person, over: threading.Event, dice: random.Random) -> None:
    """Send messages and stop some answers until `over` is set; the server may be killed at any time."""

    def stop_most(answer: str) -> None:
        if dice.random() < 0.7:
            person.post(f"/m/{answer}/stop/")

    while not over.is_set():
        try:
            if person.http.base_url != site.url:
                connect_to(person, site.url)
            _chat, answer = ids_in(person.send(dice.choice(KINDS)))
            call_after(dice.uniform(0, 0.05), lambda answer=answer: stop_most(answer))  # type: ignore[misc]
        except (httpx2.TransportError, AssertionError):  # killed during the request, or before its page was sent
            time.sleep(0.05)


@pytest.mark.timeout(3600)
def test_each_answer_has_one_record_with_the_reported_usage_whenever_the_server_is_killed(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    provider = upstream.default = LedgerProvider()
    site = make_site()
    site.shell(REMOVE_LIMITS)
    site.start()
    over, dice = threading.Event(), random.Random()
    senders = [
        threading.Thread(target=keep_sending, args=(site, site.person(name), over, random.Random(dice.random())))
        for name in PEOPLE * 2
    ]
    for sender in senders:
        sender.start()
    try:
        for _ in range(KILLS):
            kill_after(site, dice.uniform(1, 3))
            site.start()
    finally:
        call_after(1, over.set)  # the last server has messages, too
        for sender in senders:
            sender.join()
    site.kill()
    site.manage("recover")
    rows, answers, running = json.loads(site.shell(READ_LEDGER))
    assert running == 0
    assert Counter(row[0] for row in rows) == Counter(answers)
    assert len(rows) > KILLS * len(PEOPLE)
    model = "gpt-4o-mini"
    recorded = Counter((model, *row[3:7]) for row in rows if row[2] and row[5])
    assert recorded
    assert recorded <= Counter(provider.reported), "usage that the provider did not report"
    for _id, _status, _exact, prompt, cached, completion, _reasoning, cost in rows:
        assert cost == -(-((prompt - cached) * 150_000 + cached * 75_000 + completion * 600_000) // 1_000_000)
    assert site.manage("usage", "--check").returncode == 0
