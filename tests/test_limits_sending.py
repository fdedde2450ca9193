"""The limits of a message: what is reserved, capped, refunded and charged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import sqlite3
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from django.core.cache import caches
from django.db import OperationalError

from chat import answers, errors
from chat import providers as upstream
from chat.answers import current_runner, runner
from chat.limits import limiter
from chat.limits.plans import rules_for, subject_of
from chat.models import Conversation, Message, MessageQuerySet, User
from tests.answers import wait_for_status
from tests.crashes import kill_after
from tests.fakes import DONE, FakeProvider, Gate, Script, Send, chunk, error, gated, text, tokens
from tests.services import RedisServer
from tests.site import Person, Site, ids_in
from tests.waiting import await_until, wait_until

KILLS = 60 if os.environ.get("SOAK") == "1" else 2
LIMIT = "from chat.models import User\nUser.objects.get(username='alice').limit_overrides.create(rule='{}', value={})"
COUNTED = """
import json, zoneinfo
from django.conf import settings
from chat.limits import plans, rules
from chat.limits.periods import Periods
from chat.limits.reservations import RESERVATION_MS, Reservation
from chat.limits.stores import open_store
from chat.models import UsageRecord, User
user, periods = User.objects.get(username="alice"), Periods(zoneinfo.ZoneInfo(settings.TIME_ZONE))
now, state = open_store(periods).read(plans.subject_of(user))
kept = {name[2:]: Reservation.parse(text) for name, text in state.items() if name[:2] in ("l:", "s:")}
later, bound = now + RESERVATION_MS, plans.rules_for(user)
states = rules.peek(state, later, bound, edges=periods.at(now), initial_counts={}).states
rows = UsageRecord.objects.values_list("message_id", "status", "reason", "prompt_tokens", "completion_tokens")
print(json.dumps({
    "used": {each.rule.name: each.used for each in states},
    "reserved": sum(each.reserved for each in states),
    "kept": {name: each.reported_tokens for name, each in kept.items()},
    "newest": max([each.created for each in kept.values()], default=0),
    "rows": [[str(pk), status, reason, prompt + completion] for pk, status, reason, prompt, completion in rows],
}))
"""


@pytest.fixture
def alice(transactional_db: None) -> User:
    caches["ratelimit"].clear()
    return User.objects.create_user("alice")


def reserved_by(user: User) -> list[str]:
    return [each.reservation_id for each in limiter.current().reservations_sync(subject_of(user))]


def test_of_two_texts_with_one_key_the_first_one_written_keeps_its_reservation(
    alice: User, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, key, reserve = Gate(), str(uuid.uuid4()), limiter.Limiter.reserve
    fake_provider.enqueue(gated(gate))

    async def race() -> tuple[list[str], int]:
        written = asyncio.Event()

        async def first_to_reserve_is_last_to_write(*args: Any, **kwargs: Any) -> limiter.Grant:
            grant = await reserve(*args, **kwargs)
            if grant.is_new:
                await written.wait()
            return grant

        monkeypatch.setattr(limiter.Limiter, "reserve", first_to_reserve_is_last_to_write)
        loser = asyncio.ensure_future(answers.send(alice, "one", client_key=key))
        await await_until(lambda: reserved_by(alice))
        sent = await answers.send(alice, "two", client_key=key)
        written.set()
        with pytest.raises(errors.KeyReused):
            await loser
        live = reserved_by(alice)
        gate.open()
        await current_runner().wait(sent.answer.pk)
        await current_runner().drain()
        await upstream.close()
        return live, len(reserved_by(alice))

    live, left = asyncio.run(race())
    assert (live, left) == ([str(Message.objects.get(role="assistant").pk)], 0)
    states = limiter.current().peek_sync(subject_of(alice), rules_for(alice))
    assert [each.used for each in states if each.rule.period] == [15]


def test_a_conversation_that_is_erased_during_a_send_is_not_found(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = Conversation.objects.create(user=alice)
    reserve = limiter.Limiter.reserve

    async def erase_and_reserve(*args: Any, **kwargs: Any) -> limiter.Grant:
        await conversation.adelete()
        return await reserve(*args, **kwargs)

    monkeypatch.setattr(limiter.Limiter, "reserve", erase_and_reserve)

    async def send_to_erased() -> int:
        with pytest.raises(errors.NotFound):
            await answers.send(alice, "two", client_key=str(uuid.uuid4()), conversation_id=conversation.pk)
        await current_runner().drain()
        return len(reserved_by(alice))

    assert asyncio.run(send_to_erased()) == 0
    assert not Message.objects.exists()


def test_reservations_are_renewed_while_the_database_is_unavailable(
    alice: User, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[object] = []

    def unavailable(*arguments: object) -> None:
        failed.append(arguments)
        raise OperationalError("unavailable")

    monkeypatch.setattr(runner, "RENEW_INTERVAL", 0.02)
    monkeypatch.setattr(runner, "CHECKPOINT_INTERVAL", 0.02)
    monkeypatch.setattr(MessageQuerySet, "save_checkpoints", unavailable)
    meanwhile, end = Gate(), Gate()
    said = [Send(chunk("one ")), meanwhile, Send(chunk("two three four")), end, Send(chunk(finish="stop")), Send(DONE)]
    fake_provider.enqueue(Script(said))

    def reported() -> list[int]:
        return [each.tokens_so_far for each in limiter.current().reservations_sync(subject_of(alice))]

    async def renewed() -> tuple[int, int]:
        sent = await answers.send(alice, "go", client_key=str(uuid.uuid4()))
        await await_until(lambda: failed)
        (before,) = reported()
        meanwhile.open()
        await await_until(lambda: reported()[0] > before)
        (after,) = reported()
        end.open()
        await current_runner().wait(sent.answer.pk)
        await current_runner().drain()
        await upstream.close()
        return before, after

    before, after = asyncio.run(renewed())
    assert 0 < before < after


def test_the_remaining_limit_caps_the_answer_and_the_page_says_so(site: Site, upstream: FakeProvider) -> None:
    site.shell(LIMIT.format("tokens_per_day", 600))
    alice = site.person("alice")
    upstream.enqueue(text("As much as", " there is", finish="length", usage=(10, 580)))
    sent = alice.send("Tell me everything")
    policies = sent.headers["RateLimit-Policy"]
    assert policies.startswith('"tokens_per_day";q=600;qu="tokens";w=86400, "concurrent_answers";q=5')
    assert '"tokens_per_day";r=0;' in sent.headers["RateLimit"]
    chat, answer = ids_in(sent)
    wait_for_status(alice, chat, answer, "truncated")
    (asked,) = upstream.chats()
    (cap,) = (value for name, value in asked["json"].items() if name in ("max_tokens", "max_completion_tokens"))
    assert 580 <= cap < 600
    page = alice.http.get(f"/c/{chat}/").text
    assert f"Your remaining limit allowed {cap} tokens." in page
    assert "of 600 tokens per day left" in page

    refused = alice.send("And more", chat)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= int(re.findall(r";t=(\d+)", refused.headers["RateLimit"])[0])
    assert refused.headers["RateLimit-Policy"] == '"tokens_per_day";q=600;qu="tokens";w=86400'
    assert refused.headers["Cache-Control"].count("no-store") == 1
    assert "Your limit on this site" in refused.text
    assert "600 tokens per day" in refused.text
    assert len(upstream.chats()) == 1


def test_the_answer_shows_how_many_messages_did_not_fit(site: Site, upstream: FakeProvider) -> None:
    site.shell("from chat.models import ChatModel; ChatModel.objects.update(context_window=400, max_output=100)")
    alice = site.person("alice")
    chat, answer, _said = alice.ask("long " * 150)
    wait_for_status(alice, chat, answer, "complete")
    _chat, answer, _said = alice.ask("long " * 150, chat)
    wait_for_status(alice, chat, answer, "complete")
    assert len(upstream.chats()[-1]["json"]["messages"]) == 1
    assert "2 older messages did not fit and were left out." in alice.http.get(f"/c/{chat}/").text


def answers_or_refuses(request: dict[str, Any]) -> Script:
    question = request["json"]["messages"][-1]["content"]
    return error(400) if "refuse" in question else tokens(random.randint(1, 60), interval=0.02)


def once(person: Person, question: str = "go") -> None:
    person.send(question)


def double_press(person: Person) -> None:
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _n: person.send("go", key=key), range(2)))


def many_tabs(person: Person) -> None:
    """Send to one conversation from many tabs at the same time: one of them is accepted."""
    chat, _answer, _said = person.ask("begin")
    headers = {"X-CSRFToken": person.csrf(), "HX-Request": "true"}

    def send(number: int) -> int:
        data = {"prompt": "go", "client_key": str(uuid.UUID(int=number))}
        return person.http.post(f"/c/{chat}/messages/", data=data, headers=headers).status_code

    numbers = [random.getrandbits(128) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(send, numbers))
    assert sorted(codes) == [200, *[409] * 5]


def running(site: Site) -> int:
    with contextlib.closing(sqlite3.connect(site.folder / "site.sqlite3", timeout=20)) as database:
        row = database.execute("SELECT count(*) FROM chat_message WHERE status IN ('pending', 'streaming')").fetchone()
    return int(row[0])


def press(action: Callable[[Person], None], person: Person) -> None:
    with contextlib.suppress(httpx2.TransportError, AssertionError):  # its server was killed
        action(person)


@pytest.mark.timeout(1800)
def test_each_reservation_is_settled_refunded_or_expires_whenever_the_server_is_killed(
    make_site: Callable[..., Site], upstream: FakeProvider, redis_server: RedisServer
) -> None:
    site = make_site(REDIS_URL=redis_server.url)
    site.shell(
        "from chat.models import Plan; Plan.objects.update(requests_per_minute=None, concurrent_answers=None, "
        "requests_per_day=10**6, tokens_per_day=10**9)"
    )
    upstream.default = answers_or_refuses
    actions = (once, double_press, many_tabs, lambda person: once(person, "refuse"))
    for number in range(KILLS):
        site.start()
        alice = site.person("alice")
        with ThreadPoolExecutor(4) as pool:
            for action in actions:
                pool.submit(press, action, alice)
            wait_until(lambda: running(site) > 0, 60)
            kill_after(site, random.uniform(0, 1.5) if number else 0)  # the first kill hits running answers
    last_start = time.time() * 1000
    site.start()
    alice = site.person("alice")
    for action in actions:
        action(alice)
    wait_until(lambda: not running(site), 60)
    site.stop()

    counted = json.loads(site.shell(COUNTED))
    kept, rows = counted["kept"], counted["rows"]
    settled = [row for row in rows if row[0] not in kept]
    assert len(settled) > KILLS
    assert {"", "restarted", "upstream-rejected"} <= {row[2] for row in rows}
    assert counted["used"]["tokens_per_day"] == sum(row[3] for row in settled) + sum(kept.values())
    assert counted["used"]["requests_per_day"] == sum(row[1] != "failed" for row in settled) + len(kept)
    assert counted["reserved"] == 0
    assert counted["newest"] < last_start, "an answer that was not killed left no reservation"
