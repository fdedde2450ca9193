"""What the database knows that the limiter's record may have lost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from chat.limits.values import Edges, Period, Rule
from chat.models import ServerProcess, UsageRecord


def user_of(subject: str) -> int | None:
    """Only people have a ledger."""
    kind, _, number = subject.partition(":")
    return int(number) if kind == "user" and number.isdecimal() else None


def seeds(user_id: int, rules: Sequence[Rule], edges: Mapping[Period, Edges]) -> dict[str, int]:
    """What the person's ledger rows of the present periods add up to, by rule name; one query per period.

    A failed answer gave its request back, so it is not counted as one.
    """
    found: dict[str, int] = {}
    for period in {rule.period for rule in rules if rule.period}:
        sums = _sums(user_id, edges[period][0])
        found |= {rule.name: sums[rule.unit] for rule in rules if rule.period == period}
    return found


def _sums(user_id: int, start_ms: int) -> dict[str, int]:
    first_day = dt.datetime.fromtimestamp(start_ms / 1000, timezone.get_default_timezone()).date()
    sums = UsageRecord.objects.filter(user=user_id, day__gte=first_day).aggregate(
        request=Count("pk", filter=~Q(status="failed")),
        token=Sum(F("prompt_tokens") + F("completion_tokens")),
        cost=Sum("cost"),
    )
    return {unit: amount or 0 for unit, amount in sums.items()}


def server_processes() -> int:
    """How many server processes share the limits right now; at least this one."""
    alive = timezone.now() - ServerProcess.STALE_AFTER
    return max(1, ServerProcess.objects.filter(heartbeat_at__gte=alive).count())
