"""The books are true though servers are killed while answers fail, end, and are stopped."""

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

from tests.fakes import FakeUpstream
from tests.site import Person, Site, ids_in
from tests.test_crash import kill, move
from tests.test_ledger import ENDS, Provider

KILLS = 200 if os.environ.get("SOAK") == "1" else 5
PEOPLE = ("alice", "bob", "sam")
KINDS = (*ENDS, *["fine"] * 8, "endless", "endless", "endless")
LIFTED = "from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None)"
BOOKS = """
import json
from chat.models import Message, UsageRecord
counts = "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"
names = "message_id", "status", "exact", *counts, "cost"
rows = [[str(value) if name == "message_id" else value for name, value in zip(names, row)]
        for row in UsageRecord.objects.values_list(*names)]
answers = [str(pk) for pk in Message.objects.filter(role="assistant").values_list("pk", flat=True)]
print(json.dumps([rows, answers, Message.objects.running().count()]))
"""


def keep_asking(site: Site, person: Person, over: threading.Event, dice: random.Random) -> None:
    """Until it is over; the server may be gone at any moment."""
    while not over.is_set():
        try:
            if person.http.base_url != site.url:
                move(person, site.url)
            _chat, answer = ids_in(person.send(dice.choice(KINDS)))
            time.sleep(dice.uniform(0, 0.05))
            if dice.random() < 0.7:
                person.post(f"/m/{answer}/stop/")
        except (httpx2.TransportError, AssertionError):  # killed in the middle, or its page never came
            time.sleep(0.05)


@pytest.mark.timeout(3600)
def test_one_row_an_answer_and_what_the_provider_reported_whatever_is_killed(
    make_site: Callable[..., Site], upstream: FakeUpstream
) -> None:
    provider = upstream.default = Provider()
    site = make_site()
    site.shell(LIFTED)
    site.start()
    over, dice = threading.Event(), random.Random()
    askers = [
        threading.Thread(target=keep_asking, args=(site, site.person(name), over, random.Random(dice.random())))
        for name in PEOPLE * 2
    ]
    for asker in askers:
        asker.start()
    try:
        for _ in range(KILLS):
            time.sleep(dice.uniform(1, 3))
            kill(site)
            site.start()
    finally:
        time.sleep(1)
        over.set()
        for asker in askers:
            asker.join()
    kill(site)
    site.manage("recover")
    rows, answers, running = json.loads(site.shell(BOOKS))
    assert running == 0
    assert Counter(row[0] for row in rows) == Counter(answers)
    assert len(rows) > KILLS * len(PEOPLE)
    model = "gpt-4o-mini"
    counted = Counter((model, *row[3:7]) for row in rows if row[2] and row[5])
    assert counted
    assert counted <= Counter(provider.reported), "a count that the provider never gave"
    for _id, _status, _exact, prompt, cached, completion, _reasoning, cost in rows:
        assert cost == -(-((prompt - cached) * 150_000 + cached * 75_000 + completion * 600_000) // 1_000_000)
    assert site.manage("usage", "--check").returncode == 0
