"""The usage page: what is left of a user's limits, and what the user has used."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from chat import errors
from chat.limits import limiter
from chat.limits.plans import rules_for, subject_of
from chat.models import DailyUsage, Outcome, Plan, UsageRecord, User, site_day

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    caches["ratelimit"].clear()
    Plan.objects.update(
        requests_per_minute=20, tokens_per_day=100_000, cost_per_month=5_000_000, concurrent_answers=None
    )
    return User.objects.create_user("alice")


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def gauge(html: str, rule: str) -> str:
    found = re.search(rf'<li class="(\w+)" data-rule="{rule}">(.*?)</li>', html, re.S)
    assert found, f"no gauge for {rule}"
    return f"{found[1]}: {text_of(found[2]).strip()}"


def use(user: User, days_ago: int, **amounts: Any) -> None:
    day = site_day() - dt.timedelta(days=days_ago)
    DailyUsage.objects.create(user=user, day=day, **{"model": "gpt-4o", "requests": 1, **amounts})


def test_it_shows_each_limit_with_what_is_used_held_and_left(page: Client, alice: User) -> None:
    reserve = {"subject": subject_of(alice), "rules": rules_for(alice)}
    limiter.current().reserve_sync(**reserve, reservation_id="done", tokens=30_000, cost=1_000_000)
    limiter.current().settle_sync(subject_of(alice), reservation_id="done", tokens=30_000, cost=1_000_000)
    limiter.current().reserve_sync(**reserve, reservation_id="running", tokens=60_000, cost=0)
    html = page.get("/usage/").content.decode()
    tokens = gauge(html, "tokens_per_day")
    assert tokens.startswith("low: 100,000 tokens per day 10,000 left 90 % 30,000 used · 60,000 reserved")
    assert "Resets" in tokens
    assert gauge(html, "cost_per_month").startswith("ok: $5.00 per month $4.00 left 20 % $1.00 used")
    assert gauge(html, "requests_per_minute").startswith("ok: 20 messages per minute 18 left")
    assert html.index("tokens_per_day") < html.index("cost_per_month"), "the tightest limit comes first"
    assert 'data-rule="concurrent_answers"' not in html


def test_a_limiter_that_does_not_answer_leaves_the_rest_of_the_page(
    page: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: object) -> None:
        raise errors.LimiterUnavailable

    monkeypatch.setattr(limiter.Limiter, "peek_sync", down)
    use(alice, 1, cost=2_500_000)
    html = page.get("/usage/").content.decode()
    assert "Limits cannot be checked right now" in html
    assert "$2.50" in html


@pytest.fixture
def used(alice: User) -> None:
    """Some days of alice, and one of bob, which is not hers to see."""
    use(alice, 0, cost=1_000_000, prompt_tokens=1000, completion_tokens=234)
    use(alice, 6, cost=250_000, model="gpt-4o-mini", requests=3)
    use(alice, 29, cost=4_000_000)
    use(alice, 89, cost=8_000_000)
    use(alice, 90, cost=100_000_000)
    use(User.objects.create_user("bob"), 0, cost=900_000_000, model="bobs-model")


@pytest.mark.parametrize(
    ("days", "spend"), [("7", "$1.25"), ("30", "$5.25"), ("90", "$13.25"), ("", "$5.25"), ("1e9", "$5.25")]
)
def test_it_adds_up_the_days_of_the_range(page: Client, used: None, days: str, spend: str) -> None:
    html = page.get("/usage/", {"days": days}).content.decode()
    assert f"Spend <strong>{spend}</strong>" in html


def test_it_shows_nothing_of_other_users(page: Client, used: None) -> None:
    assert "bobs-model" not in page.get("/usage/").content.decode()


def test_it_shows_tokens_and_messages(page: Client, used: None) -> None:
    html = page.get("/usage/?days=7").content.decode()
    assert "Tokens <strong>1,234</strong>" in html
    assert "Messages <strong>4</strong>" in html


def test_it_has_a_line_for_each_model(page: Client, used: None) -> None:
    html = page.get("/usage/?days=7").content.decode()
    assert re.search(r"GPT-4o mini</bdi></th>\s*<td>3</td>\s*<td>0</td>\s*<td>\$0\.25</td>", html)


def test_a_chart_has_a_bar_for_each_day_with_usage(page: Client, used: None) -> None:
    html = page.get("/usage/?days=7").content.decode()
    bars = [svg.count("<rect") for svg in re.findall(r'<svg class="bars".*?</svg>', html, re.S)]
    assert bars == [2, 1, 2]


def test_every_number_of_the_charts_is_in_a_table_too(page: Client, alice: User) -> None:
    for days_ago in range(7):
        use(alice, days_ago, cost=10_000 * (days_ago + 1), prompt_tokens=100 + days_ago, requests=days_ago + 1)
    html = page.get("/usage/?days=7").content.decode()
    table = text_of(html[html.index("Show by day") :])
    for title in re.findall(r"<title>([^<]+: [^<]+)</title>", html):
        day, value = title.split(": ")
        assert re.search(rf"{day} [\d,$. ]*{re.escape(value)}", table), title
    assert len(re.findall(r'<svg class="bars"[^>]* role="img"\s+aria-label="[^"]+"', html)) == 3


def test_estimates_refusals_and_missing_prices_are_said(page: Client, alice: User) -> None:
    made = Outcome(
        message_id=uuid.uuid4(),
        conversation_id=uuid.uuid4(),
        user_id=alice.pk,
        model="<b>&",
        status="interrupted",
        exact=False,
        cost=None,
    )
    UsageRecord.objects.record(made)
    DailyUsage.objects.add_refusal(alice.pk, "gpt-4o")
    html = page.get("/usage/").content.decode()
    said = text_of(html)
    assert "1 message was refused by a limit" in said
    assert "1 answer failed or was interrupted" in said
    assert "The tokens of 1 answer are an estimate" in said
    assert "No price is known for 1 answer" in said
    assert "&lt;b&gt;&amp;" in html


def test_it_takes_the_same_queries_for_nothing_and_for_much(
    page: Client, alice: User, django_assert_num_queries: Any
) -> None:
    page.get("/usage/")
    with django_assert_num_queries(9):
        page.get("/usage/?days=90")
    for number in range(90):
        use(alice, number, model=f"m{number % 9}")
    with django_assert_num_queries(9):
        page.get("/usage/?days=90")


def test_it_has_no_inline_style_or_script(page: Client, alice: User) -> None:
    use(alice, 0, cost=5)
    html = page.get("/usage/").content.decode()
    assert " style=" not in html
    assert not re.search(r"<script(?![^>]* src=)", html)
    assert not re.search(r"\son\w+=", html)
