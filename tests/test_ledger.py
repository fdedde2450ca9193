"""The usage ledger: one row for each generation, the amounts that the provider reported, daily totals that add up."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat import answers as starting
from chat import errors, providers
from chat.answers import AnswerRequest, current_runner
from chat.infra.database_threads import run_in_db_thread
from chat.models import (
    FIRST_TOKEN_BOUNDS_MS,
    ChatModel,
    Conversation,
    DailyUsage,
    LedgerImmutable,
    Message,
    ModelPrice,
    Outcome,
    Plan,
    UsageRecord,
    User,
    first_token_column,
    site_day,
)
from chat.usage import prices, reconciliation, reports
from chat.usage.reports import DateRange
from tests.fakes import (
    FakeProvider,
    Gate,
    gated,
    text,
)
from tests.ledger import STATUSES_BY_KIND, LedgerProvider

SOAK = os.environ.get("SOAK") == "1"
PRICES = {"cheap": (150_000, 75_000, 600_000), "dear": (2_500_000, None, 10_000_000), "free": (0, 0, 0)}
"""Prompt, cached and completion; `unknown` has none."""


def outcome(user_id: int, **more: Any) -> Outcome:
    fields = {"message_id": uuid.uuid4(), "conversation_id": uuid.uuid4(), "model": "m", "status": "complete"}
    return Outcome(user_id=user_id, **{**fields, **more})


def add_record(user_id: int, **more: Any) -> UsageRecord:
    made = outcome(user_id, **more)
    with transaction.atomic():
        assert UsageRecord.objects.record(made)
    return UsageRecord.objects.get(message_id=made.message_id)


def cost_of(model: str, prompt: int, completion: int, cached: int) -> int:
    """Micro-dollars, computed from the prices above and not by the code under test."""
    fresh_price, cached_price, completion_price = PRICES.get(model) or PRICES["dear"]
    cached_price = fresh_price if cached_price is None else cached_price
    millionths = (prompt - cached) * fresh_price + cached * cached_price + completion * completion_price
    return millionths // 1_000_000 + (millionths % 1_000_000 > 0)


@pytest.fixture
def catalogue(transactional_db: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No limits; models with a price, free ones and one without a price; a database connection that stays open."""
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", None)
    monkeypatch.setattr(logging.getLogger("chat"), "disabled", True)
    Plan.objects.all().delete()
    Plan.objects.create(name="Open", is_default=True)
    ChatModel.objects.all().delete()
    for name in (*PRICES, "unknown"):
        ChatModel.objects.create(name=name, enabled=True)
    for name, (prompt, cached, completion) in PRICES.items():
        ModelPrice.objects.create(
            model=ChatModel.objects.get(name=name),
            valid_from=timezone.now() - dt.timedelta(days=9),
            prompt=prompt,
            cached=cached,
            completion=completion,
        )
    yield
    asyncio.run(run_in_db_thread(connections.close_all))


# One row for each generation


EXACT = ("fine", "long", "filtered", "empty")


async def _one(people: list[User], kind: str, number: int, dice: random.Random) -> tuple[uuid.UUID, str]:
    """Send, and do to the answer what `kind` says. Returns the id of the answer and the kind."""
    question = {"stopped": "endless", "deleted": "endless", "left": "endless", "twice": "fine"}.get(kind, kind)
    person, key = people[number % len(people)], str(uuid.uuid4())
    ask: Callable[[], Awaitable[AnswerRequest]] = lambda: starting.send(  # noqa: E731
        person, f"{question} {number}", client_key=key, model=dice.choice((*PRICES, "unknown"))
    )
    if kind == "twice":
        first, second = await asyncio.gather(ask(), ask())
        assert first.answer.pk == second.answer.pk
        assert first.is_new != second.is_new
    else:
        first = await ask()
    if kind in ("stopped", "deleted"):
        await asyncio.sleep(dice.choice((0, 0.01, 0.05)))  # not a wait: answers are met at different points
    if kind == "stopped":
        await starting.stop(person, first.answer.pk)
    elif kind == "deleted":
        await run_in_db_thread(Conversation.objects.filter(pk=first.answer.conversation_id).delete)
    if kind != "left":
        await current_runner().wait(first.answer.pk)
    return first.answer.pk, kind


async def _all(people: list[User], kinds: list[str]) -> dict[uuid.UUID, str]:
    dice, room = random.Random(1), asyncio.Semaphore(48)

    async def one(number: int, kind: str) -> tuple[uuid.UUID, str]:
        async with room:
            return await _one(people, kind, number, dice)

    try:
        done = await asyncio.gather(*(one(number, kind) for number, kind in enumerate(kinds)))
        await run_in_db_thread(people[-1].delete)
    finally:
        await current_runner().drain()
        await providers.close()
    return dict(done)


def _kinds(count: int) -> list[str]:
    some = [*STATUSES_BY_KIND, *["fine"] * 8, "twice"] * (count // 18)
    rare = ["stopped"] * 60 + ["deleted"] * 40 + ["left"] * 30
    random.Random(2).shuffle(some)
    return some[: count - len(rare)] + rare


@pytest.mark.timeout(1200 if SOAK else 240)
def test_each_generation_leaves_one_row_with_what_the_provider_reported(
    catalogue: None, fake_provider: FakeProvider
) -> None:
    provider = fake_provider.default = LedgerProvider()
    people = [User.objects.create_user(name) for name in ("alice", "bob", "sam", "gone")]
    kinds = _kinds(20_000 if SOAK else 1_000)
    made = asyncio.run(_all(people, kinds))

    rows = {row.message_id: row for row in UsageRecord.objects.all()}
    assert len(made) == len(kinds)
    assert rows.keys() == made.keys()
    for message_id, kind in made.items():
        ends = STATUSES_BY_KIND.get(kind, {"complete"} if kind == "twice" else {"stopped", "interrupted", "failed"})
        assert rows[message_id].status in ends, kind
    assert not Message.objects.running().exists()

    exact = [rows[message_id] for message_id, kind in made.items() if kind in (*EXACT, "twice")]
    recorded = Counter(
        (row.model, row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.reasoning_tokens) for row in exact
    )
    assert recorded == Counter(provider.reported)
    reported_cost = sum(cost_of(model, prompt, out, cached) for model, prompt, cached, out, _ in provider.reported)
    assert sum(row.cost or 0 for row in exact) == reported_cost
    for row in rows.values():
        assert row.cost == cost_of(row.model, row.prompt_tokens, row.completion_tokens, row.cached_tokens)
        assert row.exact == (made[row.message_id] in (*EXACT, "twice", "busy", "broken", "refused")), row.status
    assert {row.user_id for row in rows.values()} == {*(person.pk for person in people[:3]), None}
    assert [each for day in reconciliation.recorded_days() for each in reconciliation.differences(day)] == []
    assert reports.total(DateRange.last_days(2)).requests == len(kinds)


def test_a_generation_has_the_price_of_its_start_when_the_price_changes_at_midnight(
    catalogue: None, fake_provider: FakeProvider, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"
    midnight = timezone.make_aware(dt.datetime(2031, 5, 2))
    ModelPrice.objects.create(
        model=ChatModel.objects.get(name="cheap"), valid_from=midnight, prompt=9_000_000, completion=9_000_000
    )
    clock = {"now": midnight - dt.timedelta(seconds=1)}
    monkeypatch.setattr(timezone, "now", lambda: clock["now"])
    alice = User.objects.create_user("alice")
    gate = Gate()

    async def answer_over_midnight() -> list[uuid.UUID]:
        answers = []
        for script in (gated(gate), text("Hi", usage=(10, 5))):
            fake_provider.enqueue(script)
            sent = await starting.send(alice, "hello", client_key=str(uuid.uuid4()), model="cheap")
            if not answers:
                await asyncio.to_thread(gate.wait_until_reached)
                clock["now"] = midnight
                gate.open()
            await current_runner().wait(sent.answer.pk)
            answers.append(sent.answer.pk)
        await current_runner().drain()
        await providers.close()
        return answers

    first, second = (UsageRecord.objects.get(message_id=pk) for pk in asyncio.run(answer_over_midnight()))
    assert first.cost == cost_of("cheap", 10, 5, 0) == 5
    assert second.cost == 15 * 9
    assert first.day == second.day == dt.date(2031, 5, 2)


# Rows do not change


@pytest.mark.django_db
def test_nothing_changes_a_ledger_row() -> None:
    alice = User.objects.create_user("alice")
    row = add_record(alice.pk, cost=5)
    row.cost = 0
    for attempt in (
        row.save,
        row.delete,
        UsageRecord(message_id=uuid.uuid4(), conversation_id=uuid.uuid4(), day=site_day()).save,
        UsageRecord.objects.all().delete,
        lambda: UsageRecord.objects.filter(pk=row.pk).update(cost=0),
        lambda: UsageRecord.objects.bulk_update([row], ["cost"]),
        lambda: UsageRecord.objects.update_or_create(message_id=row.message_id, defaults={"cost": 0}),
        lambda: alice.usage_records.all().delete(),
        lambda: alice.usage_records.update(cost=0),
    ):
        with pytest.raises(LedgerImmutable), transaction.atomic():
            attempt()
    assert UsageRecord.objects.get().cost == 5


@pytest.mark.django_db
def test_a_generation_is_recorded_once() -> None:
    once = outcome(User.objects.create_user("alice").pk, prompt_tokens=7)
    assert UsageRecord.objects.record(once)
    assert not UsageRecord.objects.record(once)
    assert DailyUsage.objects.get().prompt_tokens == 7


@pytest.mark.django_db
def test_a_row_that_the_database_rejects_is_an_error() -> None:
    impossible = outcome(User.objects.create_user("alice").pk, prompt_tokens=-7)
    with pytest.raises(IntegrityError), transaction.atomic():
        UsageRecord.objects.record(impossible)


@pytest.mark.django_db
def test_removing_an_account_keeps_its_amounts() -> None:
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    for person in (alice, bob):
        add_record(person.pk, prompt_tokens=3, cost=2)
        person.delete()
    add_record(alice.pk, prompt_tokens=3, cost=2)
    assert [row.user_id for row in UsageRecord.objects.all()] == [None] * 3
    (line,) = reports.by("user", DateRange.last_days(1))
    assert (line.key, line.requests, line.people, line.prompt_tokens, line.cost) == ("", 3, 0, 9, 6)
    assert list(reconciliation.differences(site_day())) == []
    reconciliation.rebuild(site_day())
    assert DailyUsage.objects.get().cost == 6


# Prices


def price(model: str, days_ago: int, prompt: int, completion: int) -> None:
    ModelPrice.objects.create(
        model=ChatModel.objects.get_or_create(name=model)[0],
        valid_from=timezone.now() - dt.timedelta(days=days_ago),
        prompt=prompt,
        completion=completion,
    )


@pytest.mark.django_db
def test_an_unknown_price_counts_as_the_dearest_of_that_time() -> None:
    ModelPrice.objects.all().delete()
    price("was-dear", 90, 1, 900)
    price("was-dear", 30, 1, 5)
    price("plain", 60, 2, 50)
    now = timezone.now()
    for days_ago, dearest in ((0, 50), (45, 900), (75, 900)):
        found = ModelPrice.objects.get_effective("nobody-knows", now - dt.timedelta(days=days_ago))
        assert found is not None
        assert found.completion == dearest, days_ago
    assert ModelPrice.objects.get_effective("was-dear", now).completion == 5
    assert ModelPrice.objects.get_effective("plain", now - dt.timedelta(days=75)).completion == 900
    assert ModelPrice.objects.get_effective("plain", now - dt.timedelta(days=100)) is None


@pytest.fixture
def no_prices(db: None, settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    ModelPrice.objects.all().delete()


def test_where_no_price_is_known_one_sentence_says_so(no_prices: None) -> None:
    (sentence,) = prices.missing_price_warnings()
    assert "No price is known for any model" in sentence


def test_where_no_price_is_known_the_cost_is_unknown(no_prices: None) -> None:
    add_record(User.objects.create_user("alice").pk, cost=None)
    total = reports.total(DateRange.last_days(1))
    assert (total.cost, total.unpriced) == (0, 1)


def test_each_model_without_a_price_is_named(no_prices: None) -> None:
    ChatModel.objects.update(enabled=False)
    ChatModel.objects.get_or_create(name="gpt-4o-mini")
    price("plain", 1, 2, 50)
    sentence = "No price is known for gpt-4o-mini: its costs are counted at the price of plain, the highest."
    assert prices.missing_price_warnings() == [sentence]


# Daily totals

AMOUNTS = st.integers(0, 2**40)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.integers(0, 3),
            "days_ago": st.integers(0, 4),
            "model": st.sampled_from(["a", "b"]),
            "status": st.sampled_from(["complete", "failed", "interrupted", "stopped", "truncated"]),
            "exact": st.booleans(),
            "cost": st.none() | AMOUNTS,
            "first_token_ms": st.none() | st.integers(0, 40_000) | st.sampled_from(FIRST_TOKEN_BOUNDS_MS),
            "prompt_tokens": AMOUNTS,
            "cached_tokens": AMOUNTS,
            "reasoning_tokens": AMOUNTS,
            "completion_tokens": AMOUNTS,
        }
    ),
    max_size=12,
)


def _expected(rows: list[UsageRecord], key: Callable[[UsageRecord], Any]) -> dict[Any, tuple[int, ...]]:
    found: dict[Any, list[int]] = defaultdict(lambda: [0] * 7)
    for row in rows:
        for place, amount in enumerate(
            (
                1,
                row.prompt_tokens,
                row.completion_tokens,
                row.cost or 0,
                row.status in ("failed", "interrupted"),
                row.cost is None,
                not row.exact,
            )
        ):
            found[key(row)][place] += amount
    return {name: tuple(amounts) for name, amounts in found.items()}


def _reported(lines: list[reports.UsageLine]) -> dict[str, tuple[int, ...]]:
    names = ("requests", "prompt_tokens", "completion_tokens", "cost", "failed", "unpriced", "estimated")
    return {line.key: tuple(getattr(line, name) for name in names) for line in lines if line.requests}


@pytest.mark.django_db
@hypothesis_settings(
    max_examples=400 if SOAK else 15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS, removed=st.booleans(), corrupt=st.booleans())
def test_the_daily_totals_match_the_ledger(rows: list[dict[str, Any]], removed: bool, corrupt: bool) -> None:
    with transaction.atomic():
        people = [User.objects.create(username=f"p{number}") for number in range(4)]
        today = site_day()
        for row in rows:
            values = dict(row)
            who, ago = people[values.pop("who")].pk, values.pop("days_ago")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    "chat.models.usage_records.site_day", lambda moment, ago=ago: today - dt.timedelta(days=ago)
                )
                add_record(who, **values)
        if removed:
            people[0].delete()
        if corrupt:
            DailyUsage.objects.filter(model="a").update(requests=77, first_token_to_100=5)
            DailyUsage.objects.filter(model="b", day=today).delete()
        ledger, span = list(UsageRecord.objects.all()), DateRange.last_days(5)
        touched = any(row.model == "a" or (row.model == "b" and row.day == today) for row in ledger)
        found = [each for day in reconciliation.recorded_days() for each in reconciliation.differences(day)]
        assert bool(found) == (corrupt and touched), found
        for day in reconciliation.recorded_days():
            reconciliation.rebuild(day)
        assert not [each for day in reconciliation.recorded_days() for each in reconciliation.differences(day)]
        assert _reported(reports.by("user", span)) == _expected(ledger, lambda row: str(row.user_id or ""))
        assert _reported(reports.by("model", span)) == _expected(ledger, lambda row: row.model)
        assert _reported(reports.by_day(span)) == _expected(ledger, lambda row: str(row.day))
        assert sum(DailyUsage.objects.values_list(first_token_column(30_001), flat=True)) == sum(
            (row.first_token_ms or 0) > 30_000 for row in ledger
        )
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_rebuilding_keeps_refusals_and_removes_totals_without_ledger_rows() -> None:
    alice = User.objects.create_user("alice")
    DailyUsage.objects.add_refusal(alice.pk, "m")
    DailyUsage.objects.add_refusal(alice.pk, "m")
    DailyUsage.objects.create(user=alice, model="never", day=site_day(), requests=3)
    add_record(alice.pk, prompt_tokens=4)
    (found, *others) = reconciliation.differences(site_day())
    assert not others
    assert str(found) == f"{site_day()} user {alice.pk} never: requests is 0 in the ledger, 3 in the daily totals"
    reconciliation.rebuild(site_day())
    assert list(DailyUsage.objects.values_list("model", "requests", "refusals")) == [("m", 1, 2)]


# Reports


@pytest.mark.django_db
def test_a_person_in_two_groups_counts_in_both_and_others_share_a_line() -> None:
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    alice.groups.add(*(Group.objects.create(name=name) for name in ("Law", "Sales")))
    add_record(alice.pk, cost=5)
    add_record(bob.pk, cost=7)
    assert {line.label: line.cost for line in reports.by("group", DateRange.last_days(1))} == {
        "Law": 5,
        "Sales": 5,
        "(no group)": 7,
    }
    assert reports.total(DateRange.last_days(1)).cost == 12


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [0, 60])
def test_reports_take_the_same_queries_for_nothing_and_for_much(rows: int, django_assert_max_num_queries: Any) -> None:
    people = [User.objects.create(username=f"p{number}") for number in range(10)]
    for number in range(rows):
        add_record(people[number % 10].pk, model=f"m{number % 5}")
    span = DateRange.last_days(90)
    with django_assert_max_num_queries(7):
        reports.total(span)
        for dimension in reports.DIMENSIONS:
            reports.by(dimension, span)
        assert len(reports.by_day(span)) == 90


@pytest.mark.parametrize(
    ("milliseconds", "share", "expected"),
    [
        ([], 0.5, None),
        ([100], 1.0, 100),
        ([150] * 10, 0.5, 150),
        ([150] * 95 + [4000] * 5, 0.95, 200),
        ([150] * 90 + [4000] * 10, 0.95, 4000),
        ([10_000_000], 0.5, FIRST_TOKEN_BOUNDS_MS[-1]),
    ],
    ids=["none", "one", "interpolated", "bound", "last tenth", "later"],
)
def test_a_percentile_is_interpolated_in_its_bucket(
    milliseconds: list[int], share: float, expected: int | None
) -> None:
    counts = Counter(first_token_column(each) for each in milliseconds)
    assert reports.percentile([counts[name] for name in reports.FIRST_TOKEN_COLUMNS], share) == expected


def test_a_date_range_includes_both_days() -> None:
    assert DateRange.parse("2026-03-01", "2026-03-31").length == 31


def test_a_date_range_may_be_a_number_of_days() -> None:
    assert DateRange.parse("7d", "2026-03-07").first == dt.date(2026, 3, 1)


def test_a_date_range_is_30_days_by_default() -> None:
    assert DateRange.parse() == DateRange.last_days(30)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-04-01", "2026-03-31"),
        ("yesterday", ""),
        ("", "31.3.2026"),
        ("0d", ""),
        ("9999d", ""),
        ("-5d", ""),
        ("0001-01-01", "9999-12-31"),
        ("9d", "0001-01-02"),
        ("20260301", ""),
    ],
)
def test_an_invalid_date_range_is_rejected(since: str, until: str) -> None:
    with pytest.raises(errors.InvalidInput):
        DateRange.parse(since, until)
