"""Initial counts from the usage ledger, for calendar rules whose counter a store has lost or never had."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import DatabaseError
from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from chat import errors
from chat.limits.periods import PeriodEdges, Periods
from chat.limits.values import Decision, Period, Rule
from chat.models import ServerProcess, UsageRecord


def user_of(subject: str) -> int | None:
    """The id of the user. Other subjects have no ledger."""
    kind, _, number = subject.partition(":")
    return int(number) if kind == "user" and number.isdecimal() else None


def decide_with_counts(
    subject: str, rules: Sequence[Rule], periods: Periods, decide: Callable[[Mapping[str, int]], Decision]
) -> Decision:
    """Call `decide` with no initial counts, and again with the ledger's if it says that some are missing.

    Raises what `decide` raises, and `DatabaseUnavailable`.
    """
    decision = decide({})
    if decision.missing_counts:
        decision = decide(initial_counts(subject, rules, decision, periods.at(decision.now)))
    return decision


def initial_counts(
    subject: str, rules: Sequence[Rule], decision: Decision, edges: Mapping[Period, PeriodEdges]
) -> dict[str, int]:
    """The counts that a decision is missing, by rule name; one query. Raises `DatabaseUnavailable`.

    A failed answer gave its request back, so it is not counted as one.
    """
    counts = dict.fromkeys(decision.missing_counts, 0)
    user_id = user_of(subject)
    first_day = {rule: _day(edges[rule.period].start) for rule in rules if rule.period and rule.name in counts}
    if user_id is None or not first_day:
        return counts
    for day in _usage_by_day(user_id, min(first_day.values())):
        for rule, first in first_day.items():
            if day["day"] >= first:
                counts[rule.name] += day[rule.unit] or 0
    return counts


def _usage_by_day(user_id: int, first: dt.date) -> list[Mapping[str, Any]]:
    days: Any = (
        UsageRecord.objects.filter(user=user_id, day__gte=first)
        .order_by()
        .values("day")
        .annotate(
            request=Count("pk", filter=~Q(status="failed")),
            token=Sum(F("prompt_tokens") + F("completion_tokens")),
            cost=Sum("cost"),
        )
    )
    try:
        return list(days)
    except DatabaseError as error:
        raise errors.DatabaseUnavailable from error


def _day(start_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(start_ms / 1000, timezone.get_default_timezone()).date()


def count_server_processes() -> int:
    """How many server processes share the limits right now, at least this one. Raises `DatabaseUnavailable`."""
    alive = timezone.now() - ServerProcess.STALE_AFTER
    try:
        return max(1, ServerProcess.objects.filter(heartbeat_at__gte=alive).count())
    except DatabaseError as error:
        raise errors.DatabaseUnavailable from error
