"""The limits of one user: what is used, and resetting them."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from chat import errors
from chat.limits import limiter
from chat.limits.plans import rules_for, subject_of
from chat.models import Plan, User

pytestmark = pytest.mark.django_db


def remaining(user: User) -> dict[str, int]:
    states = limiter.current().peek_sync(subject_of(user), rules_for(user))
    return {state.rule.name: state.remaining for state in states}


def reserve(user: User, reservation_id: str, tokens: int) -> None:
    limiter.current().reserve_sync(
        subject_of(user), rules_for(user), reservation_id=reservation_id, tokens=tokens, cost=0
    )


def use(user: User, reservation_id: str, *, reserved: int, tokens: int) -> None:
    """One answer that reserved some tokens and used others."""
    reserve(user, reservation_id, reserved)
    limiter.current().settle_sync(subject_of(user), reservation_id=reservation_id, tokens=tokens, cost=0)


def test_the_page_shows_what_is_used_and_reserved(addresses: dict[str, str], boss: Client, alice: User) -> None:
    Plan.objects.filter(is_default=True).update(requests_per_minute=4, tokens_per_day=10_000, concurrent_answers=2)
    reserve(alice, "one", 3000)
    use(alice, "two", reserved=1000, tokens=500)
    response = boss.get(addresses["admin:chat_user_limits"])
    rows = {row.status.name: row for row in response.context["rows"]}
    tokens, answers = rows["tokens_per_day"].status, rows["concurrent_answers"].status
    assert (tokens.used_text, tokens.reserved_text, tokens.remaining_text) == ("512", "3,000", "6,488")
    assert (answers.used, answers.remaining) == (1, 1)
    assert rows["requests_per_minute"].status.remaining == 2
    assert rows["tokens_per_day"].resets
    assert [each.reservation_id for each in response.context["loose"]] == ["one"]


def test_a_reset_gives_back_one_limit(addresses: dict[str, str], boss: Client, alice: User) -> None:
    before = remaining(alice)
    use(alice, "one", reserved=3000, tokens=3000)
    boss.post(addresses["admin:chat_user_limits_reset"], {"rule": "requests_per_minute"})
    assert remaining(alice)["requests_per_minute"] == before["requests_per_minute"]
    assert remaining(alice)["tokens_per_day"] < before["tokens_per_day"]


def test_a_reset_gives_back_all_limits(addresses: dict[str, str], boss: Client, alice: User) -> None:
    before = remaining(alice)
    use(alice, "one", reserved=3000, tokens=3000)
    boss.post(addresses["admin:chat_user_limits_reset"])
    assert remaining(alice)["requests_per_minute"] == before["requests_per_minute"]
    assert remaining(alice)["tokens_per_day"] > before["tokens_per_day"] - 3000


@pytest.mark.parametrize(
    ("data", "message"),
    [({"rule": "tokens_per_day"}, "Reset the limit tokens_per_day."), ({}, "Reset all limits.")],
    ids=["one", "all"],
)
def test_a_reset_is_logged(addresses: dict[str, str], boss: Client, data: dict[str, str], message: str) -> None:
    boss.post(addresses["admin:chat_user_limits_reset"], data)
    assert LogEntry.objects.get().change_message == message


def test_an_unknown_limit_is_not_found(addresses: dict[str, str], boss: Client) -> None:
    assert boss.post(addresses["admin:chat_user_limits_reset"], {"rule": "no such"}).status_code == 404


def test_recent_refusals_name_the_limit(addresses: dict[str, str], boss: Client, alice: User) -> None:
    Plan.objects.filter(is_default=True).update(concurrent_answers=0)
    with pytest.raises(errors.LimitExceeded):
        reserve(alice, "one", 3000)
    response = boss.get(addresses["admin:chat_user_limits"])
    assert "0 answers at the same time" in response.context["refusals"][0].rules
    assert "blocked" in response.content.decode()
