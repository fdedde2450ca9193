"""The limits of a user, with numbers and texts that pages, the admin and commands can show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from chat import errors
from chat.limits import limiter, messages, plans
from chat.limits.values import Rule, RuleState, wait_seconds
from chat.models import User

LOW_PERCENT = 80


@dataclass(frozen=True, kw_only=True)
class LimitStatus:
    """One limit. Amounts are counted in `unit`, costs in micro-dollars; `reserved` is for running answers.

    `taken` and `percent` count both what is used and what is reserved. `level` is "ok", "low" (from `LOW_PERCENT`)
    or "out". `resets_in` is in seconds; `wait` too: 0 means that a message is admitted now, None that waiting does
    not help.
    """

    rule: Rule
    name: str
    unit: str
    used: int
    reserved: int
    taken: int
    remaining: int
    percent: int
    percent_left: int
    level: str
    resets_in: int
    resets_at: dt.datetime
    wait_ms: int

    @property
    def wait(self) -> int | None:
        return wait_seconds(self.wait_ms) if self.wait_ms else 0

    @property
    def label(self) -> str:
        return messages.describe(self.rule)

    @property
    def used_text(self) -> str:
        return messages.amount(self.rule, self.used)

    @property
    def reserved_text(self) -> str:
        return messages.amount(self.rule, self.reserved)

    @property
    def remaining_text(self) -> str:
        return messages.amount(self.rule, self.remaining)


def limit_statuses(user: User) -> list[LimitStatus]:
    """Every limit of a user, the tightest first; empty while limits cannot be checked."""
    try:
        return present(limit_states(user))
    except errors.LimiterUnavailable:
        return []


def limit_states(user: User) -> list[RuleState]:
    """Every limit of a user in the order of a plan. Raises `LimiterUnavailable`, `DatabaseUnavailable`."""
    return limiter.current().peek_sync(plans.subject_of(user), plans.rules_for(user))


def present(states: Iterable[RuleState], *, tightest_first: bool = True) -> list[LimitStatus]:
    """The tightest limit first, or in the order of `states`.

    A limit on concurrent answers comes last until it is reached: what runs now is free again in a moment.
    """
    now = timezone.now()
    if tightest_first:
        states = sorted(states, key=lambda each: (each.rule.unit == "answer" and each.remaining > 0, -each.share))
    return [_status(state, now) for state in states]


def _status(state: RuleState, now: dt.datetime) -> LimitStatus:
    rule, remaining, resets_in = state.rule, state.remaining, state.resets_in
    percent = round(100 * state.share)
    return LimitStatus(
        rule=rule,
        name=rule.name,
        unit=rule.unit,
        used=state.used,
        reserved=state.reserved,
        taken=state.used + state.reserved,
        remaining=remaining,
        percent=percent,
        percent_left=100 - percent,
        level="out" if not remaining else "low" if percent >= LOW_PERCENT else "ok",
        resets_in=resets_in,
        resets_at=now + dt.timedelta(seconds=resets_in),
        wait_ms=state.wait_ms,
    )
