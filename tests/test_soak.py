"""Many users at once, a provider that often fails, clients that disconnect at random: no user gets data of another.

`SOAK=1` runs two hundred users for ten minutes (`SOAK_SECONDS` changes that) and prints times and memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fakes import FakeProvider, Hang, Script, close_after, error, hang, reset_after, stream, text
from tests.ledger import READ_LEDGER
from tests.site import Site
from tests.waiting import wait_until

LONG = os.environ.get("SOAK") == "1"
PEOPLE = 200 if LONG else 60
SECONDS = int(os.environ.get("SOAK_SECONDS", "600" if LONG else "12"))
FAULTY = 0.2
SLACK = 48_000_000
"""Bytes that memory may grow from the second to the last quarter of a run."""
MAKE = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from chat.accounts import api_keys
from chat.models import Plan, User
from chat.accounts.session_store import SessionStore
Plan.objects.update(requests_per_minute=None, tokens_per_minute=None, tokens_per_day=None, concurrent_answers=None)
made = []
for number in range({count}):
    user = User.objects.create(username=f"person{{number}}")
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    made.append([api_keys.create(user, "soak")[1], session.session_key])
print(json.dumps(made))
"""
CANARY = re.compile(rb"canary-(\d{4})-")
TOKEN = "t" * 32


class Provider:
    """Repeats the question word by word and reports usage that is different for each answer, or fails."""

    def __init__(self) -> None:
        self.reported: Counter[tuple[int, int]] = Counter()
        self.faulty = FAULTY
        self._lock = threading.Lock()
        self._number = 0

    def __call__(self, request: dict[str, Any]) -> Script:
        asked = request["json"]["messages"][-1]["content"]
        if random.random() < self.faulty:
            faults = (error(500), error(429, headers={"Retry-After": "60"}), hang(), reset_after(asked))
            return random.choice((*faults, close_after(asked), stream(asked, Hang())))
        with self._lock:
            self._number += 1
            usage = (self._number, 1 + self._number % 50)
            self.reported[usage] += 1
        return text(*re.findall(r"\S+\s*", asked), usage=usage)


@dataclass(kw_only=True)
class Person:
    number: int
    key: str
    session: str
    conversations: list[str] = field(default_factory=list)

    @property
    def canary(self) -> str:
        return f"canary-{self.number:04}-"


@dataclass
class Seen:
    foreign: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    loads: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)


async def live(person: Person, url: str, until: float, seen: Seen) -> None:
    """Load pages and send, one request after the other; a third of them is cancelled."""
    cookies = {"sessionid": person.session, "csrftoken": TOKEN}
    async with httpx2.AsyncClient(base_url=url, cookies=cookies, timeout=60, headers={"Origin": url}) as http:
        while time.monotonic() < until:
            deed = random.choice((load, load, send, send, ask_by_key))
            patience = random.uniform(0.005, 0.6) if random.random() < 0.35 else 30
            with suppress(TimeoutError, httpx2.TransportError):
                await asyncio.wait_for(deed(person, http, seen), patience)
            await asyncio.sleep(random.uniform(0, 0.5))


def look(person: Person, data: bytes, where: str, seen: Seen) -> None:
    for number in set(CANARY.findall(data)) - {b"%04d" % person.number}:
        seen.foreign.append(f"{person.canary} saw {number!r} in {where}")


async def follow(person: Person, opened: Any, where: str, seen: Seen) -> bytes:
    async with opened as response:
        seen.statuses[response.status_code] += 1
        received = b""
        async for piece in response.aiter_raw():
            received += piece
            look(person, received, where, seen)
        look(person, repr(response.headers).encode(), where, seen)
        return received


async def load(person: Person, http: httpx2.AsyncClient, seen: Seen) -> None:
    some = [f"/c/{chat}/" for chat in person.conversations[-3:]]
    path = random.choice(["/", "/usage/", "/search/?q=canary", "/settings/", "/conversations/", "/export/", *some])
    began = time.monotonic()
    await follow(person, http.stream("GET", path), path, seen)
    if not path.startswith("/export"):
        seen.loads.append(time.monotonic() - began)


async def send(person: Person, http: httpx2.AsyncClient, seen: Seen) -> None:
    chat = random.choice([*person.conversations[-3:], ""])
    path = f"/c/{chat}/messages/" if chat else "/c/"
    data = {"prompt": f"{person.canary} says some words", "client_key": str(uuid.uuid4())}
    headers = {"HX-Request": "true", "X-CSRFToken": TOKEN}
    shown = await follow(person, http.stream("POST", path, data=data, headers=headers), path, seen)
    found = re.search(rb'id="m-([0-9a-f-]{36})" data-role="assistant"', shown)
    if not found:
        return
    if made := re.search(rb"/c/([0-9a-f-]{36})/messages/", shown):
        person.conversations.append(made[1].decode())
    answer = f"/m/{found[1].decode()}/"
    if random.random() < 0.1:
        await follow(person, http.stream("POST", f"{answer}stop/", headers=headers), "stop", seen)
    protocol = random.choice(("html", "text", "sse", "ui"))
    await follow(person, http.stream("GET", f"{answer}stream/?protocol={protocol}"), protocol, seen)


async def ask_by_key(person: Person, http: httpx2.AsyncClient, seen: Seen) -> None:
    protocol = random.choice(("text", "sse", "sse-json", "data", "ui"))
    body = {"messages": [{"role": "user", "content": f"{person.canary} uses a key"}]}
    if random.random() < 0.5:
        body["id"] = "the-same-name-for-everybody"  # type: ignore[assignment]
    opened = http.stream(
        "POST", f"/api/chat?protocol={protocol}", json=body, headers={"Authorization": f"Bearer {person.key}"}
    )
    await follow(person, opened, f"api {protocol}", seen)


async def all_live(people: list[Person], site: Site, seen: Seen) -> None:
    until = time.monotonic() + SECONDS
    statm = Path(f"/proc/{site.processes[0].pid}/statm")

    async def weigh() -> None:
        while time.monotonic() < until:
            seen.resident.append(int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            await asyncio.sleep(0.25)

    await asyncio.gather(weigh(), *(live(person, site.url, until, seen) for person in people))


async def ask_once(people: list[Person], url: str) -> Counter[int]:
    """Every user sends one request. Returns how often each status was the response."""
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        body = {"prompt": "anything"}
        asked = [http.post("/api/completion", json=body, headers={"Authorization": f"Bearer {p.key}"}) for p in people]
        return Counter([(await answer).status_code for answer in asked])


def ledger_at_rest(site: Site) -> tuple[list[Any], list[str]] | None:
    """The usage records and the ids of all answers, once no answer runs."""
    rows, answers, running = json.loads(site.shell(READ_LEDGER))
    return None if running else (rows, answers)


@pytest.mark.timeout(3600)
def test_no_user_gets_data_of_another_and_the_ledger_is_exact(
    make_site: Callable[..., Site], upstream: FakeProvider
) -> None:
    provider = upstream.default = Provider()
    site = make_site(CHAT_STALL_TIMEOUT="2", CHAT_FIRST_TOKEN_TIMEOUT="5", LOG_LEVEL="warning")
    made = json.loads(site.shell(MAKE.format(count=PEOPLE)).splitlines()[-1])
    people = [Person(number=number, key=key, session=session) for number, (key, session) in enumerate(made)]
    site.start("uvicorn")
    seen = Seen()
    asyncio.run(all_live(people, site, seen))

    rows, answers = wait_until(lambda: ledger_at_rest(site), 60, message="answers still run", interval=0.5)
    assert seen.foreign == []
    assert seen.statuses[200] > PEOPLE
    assert seen.statuses[500] == 0, seen.statuses
    assert Counter(row[0] for row in rows) == Counter(answers)
    recorded = Counter((row[3], row[5]) for row in rows if row[2] and row[5])
    assert recorded
    assert recorded <= provider.reported
    assert set(recorded.values()) == {1}
    assert "Traceback" not in site.log, site.log[-3000:]
    assert site.manage("usage", "--check").returncode == 0
    provider.faulty = 0
    site.shell("from chat.models import Plan; Plan.objects.update(concurrent_answers=1)")
    assert asyncio.run(ask_once(people, site.url)) == {200: PEOPLE}, "a reservation was not returned"
    report(seen, len(rows))
    quarter = len(seen.resident) // 4
    early, late = seen.resident[quarter : 2 * quarter], seen.resident[-quarter:]
    if LONG:
        assert sum(late) / len(late) - sum(early) / len(early) < SLACK


def report(seen: Seen, answers: int) -> None:
    loads = sorted(seen.loads)
    print(f"\n{PEOPLE} people, {SECONDS} s: {answers} answers, {len(loads)} pages, statuses {dict(seen.statuses)}")
    print(f"pages: p50 {1e3 * loads[len(loads) // 2]:.0f} ms, p99 {1e3 * loads[int(len(loads) * 0.99)]:.0f} ms")
    weights = [seen.resident[int(part * (len(seen.resident) - 1))] // 1_000_000 for part in (0, 0.25, 0.5, 0.75, 1)]
    print(f"resident MB, from start to end: {weights}")
