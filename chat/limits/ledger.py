"""What the database knows that the limiter's record may have lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from chat.limits.values import Edges, Period, Rule
from chat.models import ServerProcess, UsageRecord


def user_of(subject: str) -> int | None:
    """Only people have a ledger."""
    kind, _, number = subject.partition(":")
    return int(number) if kind == "user" and number.isdecimal() else None


def seeds(user_id: int, rules: Sequence[Rule], edges: Mapping[Period, Edges]) -> dict[str, int]:
    """What the person's ledger rows of the present periods add up to, by rule name; one query.

    A failed answer gave its request back, so it is not counted as one.
    """
    first_day = {rule.period: _day(edges[rule.period][0]) for rule in rules if rule.period}
    if not first_day:
        return {}
    days = (
        UsageRecord.objects.filter(user=user_id, day__gte=min(first_day.values()))
        .order_by()
        .values("day")
        .annotate(
            request=Count("pk", filter=~Q(status="failed")),
            token=Sum(F("prompt_tokens") + F("completion_tokens")),
            cost=Sum("cost"),
        )
    )
    sums: Any = list(days)
    return {
        rule.name: sum((each[rule.unit] or 0 for each in sums if each["day"] >= first_day[rule.period]), 0)
        for rule in rules
        if rule.period
    }


def _day(start_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(start_ms / 1000, timezone.get_default_timezone()).date()


def server_processes() -> int:
    """How many server processes share the limits right now; at least this one."""
    alive = timezone.now() - ServerProcess.STALE_AFTER
    return max(1, ServerProcess.objects.filter(heartbeat_at__gte=alive).count())
