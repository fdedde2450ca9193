"""What a person has left, in words and numbers that a page can show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from chat import errors
from chat.limits import limiter, messages, plans
from chat.limits.values import Rule, RuleState
from chat.models import User

LOW = 0.8


@dataclass(frozen=True, kw_only=True)
class LimitStatus:
    """One limit of a person; `taken` counts what running answers hold as used. Costs are micro-dollars."""

    rule: Rule
    limit: int
    taken: int
    remaining: int
    percent_left: int
    level: str
    resets_at: dt.datetime

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def unit(self) -> str:
        return self.rule.unit

    @property
    def label(self) -> str:
        return messages.describe(self.rule)


def limit_statuses(user: User) -> list[LimitStatus]:
    """Every limit, the tightest first; empty while the limiter does not answer.

    How many answers may run at once comes last until none may: what runs now is back in a moment.
    """
    try:
        states = limiter.peek_sync(plans.subject_of(user), plans.rules_for(user))
    except errors.LimiterUnavailable:
        return []
    return present(states)


def present(states: Iterable[RuleState]) -> list[LimitStatus]:
    def place(state: RuleState) -> tuple[bool, float]:
        return state.rule.kind == "concurrent" and state.remaining > 0, -state.share

    return [_one(state) for state in sorted(states, key=place)]


def _one(state: RuleState) -> LimitStatus:
    level = "out" if state.remaining == 0 else "low" if state.share >= LOW else "ok"
    return LimitStatus(
        rule=state.rule,
        limit=state.limit,
        taken=state.used + state.held,
        remaining=state.remaining,
        percent_left=max(0, min(100, round(100 * (1 - state.share)))),
        level=level,
        resets_at=timezone.now() + dt.timedelta(seconds=state.resets_in),
    )
