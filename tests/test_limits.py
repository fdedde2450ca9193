"""The limiter as the site uses it: in process, with plans, words, headers and addresses."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sys
import threading
import time
import uuid

import pytest
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.core.checks import run_checks
from django.utils import timezone

from chat import errors
from chat.limits import limiter, plans
from chat.limits.values import Renewal, Rule
from chat.models import LimitOverride, Plan, User
from tests.limiting import spend

MINUTE = Rule(name="requests_per_minute", kind="bucket", unit="request", limit=20, window=60)
TOKENS = Rule(name="tokens_per_day", kind="calendar", unit="token", limit=10_000, period="day")
ANSWERS = Rule(name="concurrent_answers", kind="concurrent", unit="answer", limit=2)
PEOPLE = (MINUTE, TOKENS, ANSWERS)
WHO = "ip:192.0.2.1"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"


@pytest.fixture(autouse=True)
def _fresh():
    caches["ratelimit"].clear()


@pytest.fixture
def clock(monkeypatch):
    """Moves the time the limiter sees."""
    moved = {"by": 0.0}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + moved["by"])

    def forward(seconds):
        moved["by"] += seconds

    return forward


@pytest.fixture
def alice(db):
    return User.objects.create(username="alice")


def refused(subject=WHO, rules=PEOPLE, **amounts):
    with pytest.raises(errors.LimitExceeded) as caught:
        limiter.current().reserve_sync(subject, rules, reservation_id=str(uuid.uuid4()), **amounts)
    return caught.value


def take(count, subject=WHO, rules=PEOPLE, **amounts):
    for _ in range(count):
        reservation_id = str(uuid.uuid4())
        limiter.current().reserve_sync(subject, rules, reservation_id=reservation_id, **amounts)
        limiter.current().settle_sync(subject, reservation_id=reservation_id, tokens=amounts.get("tokens", 0), cost=0)


def used(subject=WHO, rules=PEOPLE):
    return {state.rule.name: state.used for state in limiter.current().peek_sync(subject, rules)}


def test_it_admits_the_limit_then_names_it_and_the_seconds():
    take(20, "user:x")
    error = refused("user:x")
    assert (error.status, error.retry_after) == (429, 3)
    assert error.message == "You have reached your limit of 20 messages per minute. Try again in 3 seconds."
    assert [(each.rule.name, each.wait, each.limit) for each in error.violations] == [("requests_per_minute", 3, 20)]


def test_the_wait_is_true_and_the_whole_limit_is_back_after_the_window(clock):
    take(20)
    clock(refused().retry_after)
    take(1)
    refused()
    clock(60)
    take(20)
    refused()


def test_it_limits_one_person_not_another():
    take(20, "user:x")
    refused("user:x")
    take(20, "user:y")


def test_all_violated_rules_are_named_and_the_longest_wait_counts():
    take(20, "user:x", tokens=500)
    error = refused("user:x", tokens=500)
    assert {each.rule.name for each in error.violations} == {"requests_per_minute", "tokens_per_day"}
    waits = {each.rule.name: each.wait for each in error.violations}
    assert waits["tokens_per_day"] <= error.retry_after <= waits["tokens_per_day"] + 3
    assert f"Try again in {error.retry_after} seconds" in error.message
    assert "10,000 tokens per day" in error.message


def test_one_answer_too_many_is_told_to_wait_or_stop_one():
    for reservation_id in ("a", "b"):
        limiter.current().reserve_sync("user:x", PEOPLE, reservation_id=reservation_id)
    assert refused("user:x").message.startswith("You already have 2 answers running. Wait for an answer or stop one")
    limiter.current().settle_sync("user:x", reservation_id="a", tokens=0, cost=0)
    limiter.current().reserve_sync("user:x", PEOPLE, reservation_id="c")


def test_what_no_wait_can_help_has_no_retry_after():
    error = refused("user:x", (Rule(name="tokens_per_day", kind="calendar", unit="token", limit=0, period="day"),))
    assert error.retry_after is None
    assert "Retry-After" not in limiter.headers(error)
    too_large = refused("user:x", tokens=20_000, min_tokens=20_000)
    assert too_large.retry_after is None
    assert "10,000 tokens per day" in too_large.message


def test_a_reservation_expires_unless_it_is_renewed(clock):
    limiter.current().reserve_sync(WHO, PEOPLE, reservation_id="dead", tokens=1_000)
    limiter.current().reserve_sync(WHO, PEOPLE, reservation_id="alive", tokens=1_000)
    clock(30)
    renewal = Renewal(subject=WHO, rules=PEOPLE, reservation_id="alive", tokens=700, cost=0)
    asyncio.run(limiter.current().renew([renewal]))
    clock(20)
    (running,) = limiter.current().reservations_sync(WHO)
    assert (running.reservation_id, running.tokens_so_far, running.tokens) == ("alive", 700, 1_000)
    assert timezone.now() - running.started < dt.timedelta(minutes=1)


def test_a_refund_gives_the_request_and_the_reserved_tokens_back():
    limiter.current().reserve_sync(WHO, PEOPLE, reservation_id="a", tokens=500)
    assert limiter.current().settle_sync(WHO, reservation_id="a", tokens=0, cost=0, refund_request=True)
    assert used() == {"requests_per_minute": 0, "tokens_per_day": 0, "concurrent_answers": 0}


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_and_plain_code_share_one_limiter():
    async def use():
        grant = await limiter.current().reserve(WHO, PEOPLE, reservation_id="a", tokens=500, cost=2)
        assert grant.is_new
        assert not (await limiter.current().reserve(WHO, PEOPLE, reservation_id="a", tokens=500, cost=2)).is_new
        assert [each.reservation_id for each in limiter.current().reservations_sync(WHO)] == ["a"]
        assert await limiter.current().settle(WHO, reservation_id="a", tokens=450, cost=2)

    asyncio.run(use())
    states = limiter.current().peek_sync(WHO, PEOPLE)
    assert {state.rule.name: state.remaining for state in states} == {
        "requests_per_minute": 19,
        "tokens_per_day": 9_550,
        "concurrent_answers": 2,
    }
    assert used()["tokens_per_day"] == 450


def test_threads_get_exactly_the_limit(monkeypatch):
    rule = Rule(name="burst", kind="bucket", unit="request", limit=1, window=3_600, burst=300)
    admitted, gate = [], threading.Barrier(8)

    def hammer(number):
        gate.wait()
        for turn in range(150):
            try:
                limiter.current().reserve_sync(WHO, (rule,), reservation_id=f"{number}-{turn}")
                limiter.current().settle_sync(WHO, reservation_id=f"{number}-{turn}", tokens=0, cost=0)
            except errors.LimitExceeded:
                continue
            admitted.append(number)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert len(admitted) == 300


def test_two_hundred_tasks_at_once_get_exactly_the_limit():
    async def hammer():
        tries = [limiter.current().reserve(WHO, (MINUTE,), reservation_id=f"{n}") for n in range(200)]
        return await asyncio.gather(*tries, return_exceptions=True)

    assert sum(isinstance(result, limiter.Grant) for result in asyncio.run(hammer())) == 20


def test_refusals_are_kept_for_whoever_has_to_explain_them(clock):
    take(20)
    for _ in range(3):
        refused()
    clock(120)
    take(20)
    refused()
    newest, oldest = limiter.current().refusals_sync(WHO)
    assert (newest.times, oldest.times) == (1, 3)
    assert oldest.waits == {"requests_per_minute": 3}
    assert newest.first - oldest.last >= dt.timedelta(seconds=119)


def test_clearing_the_cache_clears_rates_but_not_the_ledger_s_quotas(alice):
    subject = plans.subject_of(alice)
    take(5, subject, tokens=100)
    spend(alice, 400)
    caches["ratelimit"].clear()
    assert used(subject) == {"requests_per_minute": 0, "tokens_per_day": 400, "concurrent_answers": 0}


def test_a_reset_stands_even_where_only_the_ledger_knew(alice):
    subject = plans.subject_of(alice)
    spend(alice, 400)
    assert used(subject)["tokens_per_day"] == 400
    limiter.current().reset_sync(subject)
    assert used(subject)["tokens_per_day"] == 0
    take(1, subject, tokens=70)
    assert used(subject)["tokens_per_day"] == 70


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_reads_the_ledger_too():
    bob = User.objects.create(username="bob")
    spend(bob, 9_000)
    grant = asyncio.run(limiter.current().reserve(plans.subject_of(bob), PEOPLE, reservation_id="a", tokens=5_000))
    assert grant.tokens == 1_000


def limits_of(user):
    """As the next request finds them."""
    return {rule.name: rule.limit for rule in plans.rules_for(User.objects.get(pk=user.pk))}


def test_without_a_plan_the_shipped_limits_bind(alice):
    Plan.objects.all().delete()
    assert limits_of(alice) == {"requests_per_minute": 20, "tokens_per_day": 2_000_000, "concurrent_answers": 5}


def test_the_most_generous_group_wins_over_the_default_and_an_override_over_all(alice, django_assert_num_queries):
    Plan.objects.all().delete()
    Plan.objects.create(name="default", is_default=True, requests_per_minute=50, concurrent_answers=1)
    assert limits_of(alice) == {"requests_per_minute": 50, "concurrent_answers": 1}
    for name, minute, day, month in (("small", 10, 1_000, 0), ("large", 30, None, 5)):
        group = Group.objects.create(name=name)
        alice.groups.add(group)
        plan = Plan.objects.create(
            name=name, requests_per_minute=minute, tokens_per_day=day, tokens_per_month=month, cost_per_day=10**18
        )
        plan.groups.add(group)
    assert limits_of(alice) == {"requests_per_minute": 30, "tokens_per_month": 5, "cost_per_day": 10**15 - 1}
    LimitOverride.objects.create(user=alice, rule="requests_per_minute", value=None, reason="trial")
    LimitOverride.objects.create(user=alice, rule="tokens_per_day", value=0, reason="blocked")
    LimitOverride.objects.create(
        user=alice, rule="tokens_per_month", value=9, reason="over", expires_at=timezone.now() - dt.timedelta(hours=1)
    )
    with django_assert_num_queries(3):
        assert limits_of(alice) == {"tokens_per_day": 0, "tokens_per_month": 5, "cost_per_day": 10**15 - 1}


def test_a_change_of_plan_acts_on_the_next_request(alice):
    Plan.objects.all().delete()
    plan = Plan.objects.create(name="default", is_default=True, requests_per_minute=2)
    subject = plans.subject_of(alice)
    take(2, subject, plans.rules_for(alice))
    refused(subject, plans.rules_for(alice))
    plan.requests_per_minute = 3
    plan.save(update_fields=["requests_per_minute"])
    take(1, subject, plans.rules_for(alice))


def test_failed_logins_count_and_successful_ones_do_not():
    subject = plans.login_subject("Alice")
    for number in range(30):
        limiter.current().reserve_sync(subject, plans.login_rules(subject), reservation_id=f"{number}")
        limiter.current().settle_sync(subject, reservation_id=f"{number}", tokens=0, cost=0, refund_request=True)
    take(10, subject, plans.login_rules(subject))
    error = refused(plans.login_subject(" alice "), plans.login_rules(subject))
    assert re.fullmatch(r"Too many attempts\. Try again in \d+ seconds \(\d+ min\)\.", error.message)


def test_no_name_reaches_the_cache():
    assert "alice" not in plans.login_subject("alice")
    assert plans.login_subject("alice") != plans.login_subject("bob")
    assert plans.login_subject("ＡＬＩＣＥ") == plans.login_subject("alice")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "expected"),
    [
        (0, "", "203.0.113.7", "203.0.113.7"),
        (0, "198.51.100.1", "203.0.113.7", "203.0.113.7"),
        (1, "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.2", "10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "10.0.0.1", "198.51.100.1"),
        (1, "", "203.0.113.7", "203.0.113.7"),
        (1, "not-an-address", "10.0.0.1", "10.0.0.1"),
        (1, "198.51.100.1:4711", "10.0.0.1", "198.51.100.1"),
        (1, "[2001:db8:1:2:3::4]:4711", "10.0.0.1", "2001:db8:1:2::"),
        (0, "", "::ffff:203.0.113.7", "203.0.113.7"),
        (0, "", "fe80::1%eth0", "fe80::"),
        (0, "", "", "unknown"),
    ],
)
def test_the_address_is_the_right_most_one_that_no_trusted_proxy_has(proxies, forwarded, remote, expected, settings):
    settings.TRUSTED_PROXIES = proxies
    meta = {"HTTP_X_FORWARDED_FOR": forwarded, "REMOTE_ADDR": remote}
    assert plans.client_address(meta) == f"ip:{expected}"


def test_neighbours_in_one_network_share_their_limit():
    first, second = (plans.client_address({"REMOTE_ADDR": f"2001:db8::{n}"}) for n in (1, 2))
    assert first == second != plans.client_address({"REMOTE_ADDR": "2001:db8:0:1::1"})


MEMBER = re.compile(r'"[a-z_]+"(;[a-z]+=(\d{1,15}|"[a-z-]+"))+')


def test_headers_are_structured_fields_with_the_tightest_rule_first():
    take(15, tokens=100)
    fields = limiter.headers(limiter.current().peek_sync(WHO, PEOPLE))
    for name in ("RateLimit", "RateLimit-Policy"):
        members = fields[name].split(", ")
        assert all(MEMBER.fullmatch(member) for member in members)
        assert members[0].startswith('"requests_per_minute";')
    assert fields["RateLimit"].startswith('"requests_per_minute";r=5;t=45, "tokens_per_day";r=8500;t=')
    assert '"requests_per_minute";q=20;qu="requests";w=60' in fields["RateLimit-Policy"]
    assert fields["x-ratelimit-remaining-tokens"] == "8500"
    assert limiter.headers([]) == {}


def test_a_refusal_s_headers_name_only_what_refused():
    take(20)
    fields = limiter.headers(refused())
    assert fields == {
        "RateLimit-Policy": '"requests_per_minute";q=20;qu="requests";w=60',
        "RateLimit": '"requests_per_minute";r=0;t=3',
        "Retry-After": "3",
    }
    assert limiter.headers(errors.ProviderBusy(retry_after=7)) == {"Retry-After": "7"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "bucket", "unit": "token", "window": 60},
        {"kind": "window", "unit": "request"},
        {"kind": "calendar", "unit": "token"},
        {"kind": "concurrent", "unit": "request"},
        {"kind": "window", "unit": "request", "window": 60, "limit": -1},
        {"kind": "window", "unit": "request", "window": 60, "name": "a b"},
        {"kind": "bucket", "unit": "request", "window": 86_400, "limit": 10**12},
    ],
)
def test_rules_that_cannot_be_kept_are_not_made(wrong):
    with pytest.raises(ValueError):
        Rule(**{"name": "r", "limit": 1} | wrong)


def check_ids(cache, **kwargs):
    return {message.id for message in run_checks(tags=["caches"], **kwargs) if message.id.startswith("chat.")}


@pytest.mark.parametrize(
    ("cache", "found"),
    [
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, {"chat.E001"}),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "t"}, {"chat.E002"}),
        ({"BACKEND": LOCMEM}, {"chat.W001"}),
        ({"BACKEND": LOCMEM, "OPTIONS": {"MAX_ENTRIES": 100_000}}, set()),
        ({"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://h/0"}, {"chat.W002"}),
        (
            {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": "redis://h/0",
                "OPTIONS": {"SOCKET_TIMEOUT": 1, "SOCKET_CONNECT_TIMEOUT": 1, "IGNORE_EXCEPTIONS": True},
            },
            {"chat.W003"},
        ),
    ],
)
def test_a_cache_that_cannot_hold_limits_is_named_at_start(settings, cache, found):
    settings.CACHES = {"default": {"BACKEND": LOCMEM}, "ratelimit": cache}
    assert check_ids(cache) == found


def test_the_site_s_own_settings_pass_and_a_deployment_in_one_process_is_told(settings):
    assert check_ids(None) == set()
    assert check_ids(None, include_deployment_checks=True) == {"chat.I004"}
