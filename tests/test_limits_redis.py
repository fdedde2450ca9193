"""The limiter on a real Redis: many processes, and a server that fails in every way."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import uuid
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from chat import errors
from chat.limits import circuit_breaker, limiter, plans
from chat.limits import rules as pure
from chat.limits.periods import period_edges
from chat.limits.reservations import RESERVATION_MS
from chat.limits.values import Rule
from chat.models import ServerProcess, User
from tests import hammer
from tests.conftest import require_service
from tests.limiting import most_in_any, spend
from tests.services import RedisServer
from tests.waiting import await_until, wait_until

TRIES = 1_000 if os.environ.get("SOAK") == "1" else 200
N = 50
CREW = 8
HOUR = 3_600
RULES = {
    "bucket": Rule(name="bucket", kind="bucket", unit="request", limit=1, window=HOUR, burst=N),
    "window": Rule(name="window", kind="window", unit="request", limit=N, window=HOUR),
    "quota": Rule(name="quota", kind="calendar", unit="token", limit=N, period="month"),
    "answers": Rule(name="answers", kind="concurrent", unit="answer", limit=N),
}
MINUTE = Rule(name="requests_per_minute", kind="bucket", unit="request", limit=20, window=60)
TOKENS = Rule(name="tokens_per_day", kind="calendar", unit="token", limit=10_000, period="day")
ANSWERS = Rule(name="concurrent_answers", kind="concurrent", unit="answer", limit=5)
PEOPLE = (MINUTE, TOKENS, ANSWERS)
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
BACKENDS = ("django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(shared, settings, monkeypatch):
    """A Redis of this module's own, which the limiter uses."""
    monkeypatch.setattr(circuit_breaker, "PROBE_SECONDS", 0.0)
    settings.CACHES = hammer.redis_caches(shared.url)
    yield shared
    if shared.process is None:
        shared.start()
    shared.thaw()
    with shared.client() as client:
        client.flushall()


@pytest.fixture
def black_hole(settings):
    """Takes connections and never answers; counts them."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    taken.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        settings.CACHES = hammer.redis_caches(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        yield taken
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@pytest.fixture
def alice(db):
    return User.objects.create(username="alice")


def subject():
    return f"ip:{uuid.uuid4()}"


def used(name, rules=PEOPLE):
    return {state.rule.name: state.used for state in limiter.current().peek_sync(name, rules)}


@pytest.fixture(scope="module")
def crew():
    """Eight processes."""
    context = hammer.processes()
    with context.Pool(CREW, hammer.meet_at, (context.Barrier(CREW),)) as pool:
        yield pool


def run_all(crew, url, rules, lasting=0):
    """The times of all admissions when everybody starts at once."""
    name = subject()
    jobs = [crew.apply_async(hammer.admitted, (url, name, rules, TRIES, lasting)) for _ in range(CREW)]
    return sorted(moment for job in jobs for moment in job.get(60))


def test_eight_processes_get_exactly_the_limit_of_every_kind(server, crew):
    for rule in RULES.values():
        assert len(run_all(crew, server.url, (rule,))) == N, rule.name
    assert len(run_all(crew, server.url, tuple(RULES.values()))) == N


def test_eight_processes_never_exceed_a_window_while_it_slides(server, crew):
    rule = Rule(name="sliding", kind="window", unit="request", limit=40, window=1)
    times = run_all(crew, server.url, (rule,), lasting=2 * rule.window_ms)
    assert len(times) > rule.limit, "it must slide within the run"
    assert most_in_any(times, rule.window_ms) <= rule.limit


def lines_in(diary):
    return Path(diary).read_text().count("\n") if Path(diary).exists() else 0


def test_killed_processes_leave_their_last_words_and_nothing_else(server, tmp_path):
    name, rules = subject(), (replace(RULES["quota"], limit=10**9),)
    diaries = [str(tmp_path / str(number)) for number in range(4)]
    workers = [
        hammer.processes().Process(target=hammer.answer_for_ever, args=(server.url, name, rules, diary))
        for diary in diaries
    ]
    for worker in workers:
        worker.start()
    for number, worker in enumerate(workers):
        wait_until(lambda number=number: lines_in(diaries[number]) >= 200)
        worker.kill()
        worker.join()
    said = defaultdict(dict)
    for diary in tmp_path.iterdir():
        for line in diary.read_text().splitlines():
            verb, reservation_id, amount = line.split()
            said[reservation_id][verb] = int(amount)
    sure = [words for words in said.values() if "settled" in words]
    cut = [words for words in said.values() if "settled" not in words]
    assert len(sure) > 50
    now, state = hammer.store_at(server.url).read(name)
    later = now + RESERVATION_MS
    (booked,) = pure.peek(state, later, rules, edges=period_edges(now, ZoneInfo("UTC")), initial_counts={}).states
    least = sum(min(words.get("renewed", 0), words.get("settle", 10**9)) for words in cut)
    most = sum(max(words.get("renew", 0), words.get("settle", 0)) for words in cut)
    settled = sum(words["settled"] for words in sure)
    assert settled + least <= booked.used <= settled + most
    assert booked.reserved == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_works_on_both_redis_backends(server, settings, backend):
    settings.CACHES = hammer.redis_caches(server.url, backend)
    name = subject()
    grant = limiter.current().reserve_sync(name, PEOPLE, reservation_id="a", tokens=900, cost=3)
    assert (grant.tokens, grant.is_new, grant.degraded) == (900, True, False)
    assert not limiter.current().reserve_sync(name, PEOPLE, reservation_id="a", tokens=900).is_new
    assert [each.reservation_id for each in limiter.current().reservations_sync(name)] == ["a"]
    assert limiter.current().settle_sync(name, reservation_id="a", tokens=400, cost=1)
    assert not limiter.current().settle_sync(name, reservation_id="a", tokens=400, cost=1)
    assert used(name) == {"requests_per_minute": 1, "tokens_per_day": 400, "concurrent_answers": 0}
    limiter.current().reset_sync(name, "tokens_per_day")
    assert used(name)["tokens_per_day"] == 0


def test_the_key_can_be_read_and_expires(server):
    limiter.current().reserve_sync("ip:10.0.0.1", PEOPLE, reservation_id="a")
    with server.client() as client:
        assert client.keys() == [b":1:rl:ip:10.0.0.1"]
        assert 8 * 86_400 <= client.ttl(":1:rl:ip:10.0.0.1") <= 9 * 86_400


def test_any_number_of_rules_is_one_script_call(server):
    def calls(client):
        stats = client.info("commandstats")
        return {name: stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval", "get", "set")}

    rules = tuple(plans.build(dict.fromkeys(plans.LIMIT_NAMES, 10**6)))
    assert len(rules) == 8
    limiter.current().reserve_sync("ip:10.0.0.2", rules, reservation_id="warm", tokens=1)
    limiter.current().reserve_sync("ip:10.0.0.2", rules, reservation_id="warm2", tokens=1)
    with server.client() as client:
        before = calls(client)
        limiter.current().reserve_sync("ip:10.0.0.2", rules, reservation_id="counted", tokens=1)
        assert calls(client) == before | {"evalsha": before["evalsha"] + 1}


def test_a_forgotten_script_is_sent_again(server):
    name = subject()
    limiter.current().reserve_sync(name, PEOPLE, reservation_id="a", tokens=500)
    with server.client() as client:
        client.script_flush()
    renewals = [
        limiter.Renewal(subject=name, rules=PEOPLE, reservation_id="a", tokens=300, cost=0),
        limiter.Renewal(subject=subject(), rules=PEOPLE, reservation_id="b", tokens=1, cost=0),
    ]
    asyncio.run(limiter.current().renew(renewals))
    assert [each.tokens_so_far for each in limiter.current().reservations_sync(name)] == [300]
    with server.client() as client:
        client.script_flush()
    assert limiter.current().settle_sync(name, reservation_id="a", tokens=300, cost=0)


def test_a_flushed_redis_takes_the_quota_from_the_ledger(server, alice):
    name = plans.subject_of(alice)
    limiter.current().reserve_sync(name, PEOPLE, reservation_id="a", tokens=4_000)
    spend(alice, 4_000)
    limiter.current().settle_sync(name, reservation_id="a", tokens=4_000, cost=7)
    with server.client() as client:
        client.flushall()
    assert used(name)["tokens_per_day"] == 4_000
    assert limiter.current().reserve_sync(name, PEOPLE, reservation_id="b", tokens=9_000).tokens == 6_000
    assert used(name)["tokens_per_day"] == 4_000


def test_an_answer_that_outlives_the_data_is_counted_once(server, alice):
    name = plans.subject_of(alice)
    limiter.current().reserve_sync(name, PEOPLE, reservation_id="a", tokens=4_000)
    with server.client() as client:
        client.flushall()
    renewal = limiter.Renewal(subject=name, rules=PEOPLE, reservation_id="a", tokens=1_000, cost=0)
    asyncio.run(limiter.current().renew([renewal]))
    assert used(name) == {"requests_per_minute": 0, "tokens_per_day": 0, "concurrent_answers": 1}
    spend(alice, 2_000)
    assert limiter.current().settle_sync(name, reservation_id="a", tokens=2_000, cost=0)
    limiter.current().reserve_sync(name, PEOPLE, reservation_id="b", tokens=300)
    assert used(name)["tokens_per_day"] == 2_000


def test_a_cancelled_call_leaves_no_reservation(server):
    name = subject()

    async def leave_after(hops):
        reserve = limiter.current().reserve(name, PEOPLE, reservation_id=f"hops-{hops}", tokens=10)
        task = asyncio.ensure_future(reserve)
        for _ in range(hops):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await await_until(lambda: len(asyncio.all_tasks()) == 1, message="the reservation is not given back")

    for hops in range(6):
        asyncio.run(leave_after(hops))
        assert limiter.current().reservations_sync(name) == [], f"after {hops} hops"
    assert used(name)["requests_per_minute"] == 0


def refuse_after(name, rules, most=60):
    """How many requests are let through."""
    for number in range(most):
        try:
            limiter.current().reserve_sync(name, rules, reservation_id=f"try-{number}")
            limiter.current().settle_sync(name, reservation_id=f"try-{number}", tokens=0, cost=0)
        except errors.LimitExceeded:
            return number
    return most


@pytest.mark.django_db
def test_a_black_hole_costs_three_calls_and_then_nothing(black_hole, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    assert refuse_after("user:1", PEOPLE) == 20
    assert limiter.current().is_degraded
    assert len(black_hole) == circuit_breaker.FAILURES


def test_admins_see_that_limits_are_decided_without_redis(black_hole, settings, client, alice):
    settings.LIMITER_WHEN_DOWN = "local"
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(pk=alice.pk))
    page = client.get(reverse("admin:chat_health")).content.decode()
    assert "limits are decided without it, as LIMITER_WHEN_DOWN=local says" in page
    assert limiter.current().is_degraded
    settings.CACHES = {name: {"BACKEND": LOCMEM} for name in ("default", "ratelimit")}
    assert "limits are decided without it" not in client.get(reverse("admin:chat_health")).content.decode()


@pytest.mark.django_db
def test_each_process_takes_its_share_while_redis_is_down(black_hole, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    for pid in range(4):
        ServerProcess.objects.create(host="h", pid=pid)
    assert refuse_after("user:1", (MINUTE,)) == 5
    assert limiter.current().reserve_sync("user:2", (TOKENS,), reservation_id="a", tokens=5_000).tokens == 2_500


def test_a_quota_knows_the_ledger_while_redis_is_down(black_hole, settings, alice):
    settings.LIMITER_WHEN_DOWN = "local"
    spend(alice, 9_000)
    assert (
        limiter.current().reserve_sync(plans.subject_of(alice), (TOKENS,), reservation_id="a", tokens=5_000).tokens
        == 1_000
    )
    with pytest.raises(errors.LimitExceeded):
        limiter.current().reserve_sync(plans.subject_of(alice), (TOKENS,), reservation_id="b", tokens=5_000)


def test_closed_means_closed(black_hole, settings):
    settings.LIMITER_WHEN_DOWN = "closed"
    with pytest.raises(errors.LimiterUnavailable):
        limiter.current().reserve_sync("user:1", PEOPLE, reservation_id="a")
    with pytest.raises(errors.LimiterUnavailable):
        limiter.current().settle_sync("user:1", reservation_id="a", tokens=0, cost=0)


@pytest.mark.django_db
def test_open_lets_people_through_but_not_who_is_trying_to_log_in(black_hole, settings):
    settings.LIMITER_WHEN_DOWN = "open"
    grants = [limiter.current().reserve_sync("user:1", PEOPLE, reservation_id=f"{n}", tokens=7) for n in range(30)]
    assert {(grant.tokens, grant.degraded) for grant in grants} == {(7, True)}
    name = plans.login_subject("alice")
    assert refuse_after(name, plans.login_rules(name)) == plans.LOGIN_NAME.limit


@pytest.mark.django_db
def test_a_frozen_redis_is_left_alone_and_found_again(server, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    limiter.current().reserve_sync("user:7", PEOPLE, reservation_id="before", tokens=100)
    server.freeze()
    during = limiter.current().reserve_sync("user:7", PEOPLE, reservation_id="during", tokens=100)
    assert during.degraded
    server.thaw()
    assert not limiter.current().reserve_sync("user:7", PEOPLE, reservation_id="during", tokens=100).is_new, (
        "asked again, known again"
    )
    assert {each.reservation_id for each in limiter.current().reservations_sync("user:7")} == {
        "before",
        "during",
    }
    assert limiter.current().settle_sync("user:7", reservation_id="during", tokens=60, cost=0)
    assert not limiter.current().settle_sync("user:7", reservation_id="during", tokens=60, cost=0)
    assert not limiter.current().is_degraded
    assert used("user:7")["tokens_per_day"] == 60


@pytest.mark.django_db
def test_an_answer_begun_without_redis_is_known_to_the_next_one(server, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    server.stop()
    assert limiter.current().reserve_sync("user:8", PEOPLE, reservation_id="during", tokens=100).degraded
    server.start()
    assert not limiter.current().reserve_sync("user:8", PEOPLE, reservation_id="during", tokens=100).is_new
    assert [each.reservation_id for each in limiter.current().reservations_sync("user:8")] == ["during"]


@pytest.mark.django_db
def test_an_answer_begun_without_redis_is_settled_with_it_once(server, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    server.stop()
    limiter.current().reserve_sync("user:8", PEOPLE, reservation_id="during", tokens=100)
    server.start()
    assert limiter.current().settle_sync("user:8", reservation_id="during", tokens=80, cost=0)
    assert not limiter.current().settle_sync("user:8", reservation_id="during", tokens=80, cost=0)


def test_every_outage_asks_the_ledger_anew(server, settings, alice):
    settings.LIMITER_WHEN_DOWN = "local"
    name = plans.subject_of(alice)
    for spends, left in ((2_000, 8_000), (7_000, 1_000)):
        spend(alice, spends)
        server.stop()
        assert (
            limiter.current().reserve_sync(name, (TOKENS,), reservation_id=f"id-{spends}", tokens=9_999).tokens == left
        )
        limiter.current().settle_sync(name, reservation_id=f"id-{spends}", tokens=0, cost=0)
        server.start()
        assert not limiter.current().is_degraded or limiter.current().reservations_sync(name) == []


@pytest.mark.django_db
def test_settling_without_redis_says_so_where_it_cannot_be_booked(server, settings):
    settings.LIMITER_WHEN_DOWN = "local"
    limiter.current().reserve_sync("user:9", PEOPLE, reservation_id="a", tokens=1)
    server.freeze()
    with pytest.raises(errors.LimiterUnavailable):
        limiter.current().settle_sync("user:9", reservation_id="a", tokens=1, cost=0)
