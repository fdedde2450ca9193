"""Whether the roll-ups say what the ledger says, and making them do so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, Sum, Value

from chat.models import (
    FAILED_STATUSES,
    FIRST_TOKEN_BOUNDS_MS,
    FIRST_TOKEN_COLUMNS,
    SUMMED_COLUMNS,
    DailyUsage,
    UsageRecord,
)

TOKENS = ("prompt_tokens", "cached_tokens", "reasoning_tokens", "completion_tokens")
FROM_LEDGER: tuple[str, ...] = (*(name for name in SUMMED_COLUMNS if name != "refusals"), *FIRST_TOKEN_COLUMNS)
Key = tuple[int | None, str]
Amounts = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One number of one roll-up that is not what the ledger's rows add up to."""

    day: dt.date
    user_id: int | None
    model: str
    name: str
    ledger: int
    rolled_up: int

    def __str__(self) -> str:
        who = f"user {self.user_id}" if self.user_id else "removed users"
        return f"{self.day} {who} {self.model}: {self.name} {self.ledger} in the ledger, {self.rolled_up} rolled up"


def days() -> list[dt.date]:
    """All days that the ledger or a roll-up knows."""
    ledger = UsageRecord.objects.order_by().values_list("day", flat=True).distinct()
    return sorted({*ledger, *DailyUsage.objects.order_by().values_list("day", flat=True).distinct()})


def differences(day: dt.date) -> Iterator[Difference]:
    """Both sides are read by one query, so an answer that ends meanwhile shows on both or on none."""
    ledger, rolled_up = _both(day)
    nothing = dict.fromkeys(FROM_LEDGER, 0)
    for key in sorted({*ledger, *rolled_up}, key=str):
        left, right = ledger.get(key, nothing), rolled_up.get(key, nothing)
        for name in FROM_LEDGER:
            if left[name] != right[name]:
                yield Difference(
                    day=day, user_id=key[0], model=key[1], name=name, ledger=left[name], rolled_up=right[name]
                )


def rebuild(day: dt.date) -> None:
    """Writes the day's roll-ups anew; refusals, which the ledger does not know, are kept.

    The day's rows are locked first, and the ledger is read after that: an answer that
    ends meanwhile either is in what was read or adds itself afterwards.
    """
    with transaction.atomic():
        rows = list(DailyUsage.objects.select_for_update().filter(day=day).order_by("user_id", "model", "pk"))
        ledger, _rolled_up = _both(day)
        for key, same in groupby(rows, key=lambda row: (row.user_id, row.model)):
            _replace(list(same), ledger.pop(key, {}))
        for (user_id, model), amounts in ledger.items():
            DailyUsage.objects.create(user_id=user_id, model=model, day=day, **amounts)


def _replace(rows: list[DailyUsage], amounts: Mapping[str, int]) -> None:
    """Several rows of removed people become one."""
    kept, *others = rows
    refusals = sum(row.refusals for row in rows)
    DailyUsage.objects.filter(pk__in=[row.pk for row in others]).delete()
    if not amounts and not refusals:
        kept.delete()
        return
    values = dict.fromkeys(FROM_LEDGER, 0) | dict(amounts) | {"refusals": refusals}
    DailyUsage.objects.filter(pk=kept.pk).update(**values)


def _both(day: dt.date) -> tuple[dict[Key, Amounts], dict[Key, Amounts]]:
    ledger = UsageRecord.objects.filter(day=day).order_by().values("user_id", "model")
    rolled_up = DailyUsage.objects.filter(day=day).order_by().values("user_id", "model")
    kept = {f"sum_{name}": Sum(name, default=0) for name in FROM_LEDGER}
    query = ledger.annotate(side=Value(0), **_counted()).union(rolled_up.annotate(side=Value(1), **kept), all=True)
    query = query.order_by()  # Django 6.1 would order both sides together by the ledger's own order
    sides: tuple[dict[Key, Amounts], dict[Key, Amounts]] = ({}, {})
    row: Any
    for row in query:
        sides[row["side"]][row["user_id"], row["model"]] = {name: row[f"sum_{name}"] for name in FROM_LEDGER}
    return sides


def _counted() -> dict[str, Any]:
    """What a roll-up must hold, added up from ledger rows, in the order of `FROM_LEDGER`."""
    sums: dict[str, Any] = {
        "requests": Count("pk"),
        "failed": Count("pk", filter=Q(status__in=FAILED_STATUSES)),
        "stopped": Count("pk", filter=Q(status="stopped")),
        "estimated": Count("pk", filter=Q(exact=False)),
        "unpriced": Count("pk", filter=Q(cost=None)),
        "cost": Sum("cost", default=0),
        **{name: Sum(name, default=0) for name in TOKENS},
    }
    bounds = pairwise((-1, *FIRST_TOKEN_BOUNDS_MS, 2**31))
    for name, (above, upto) in zip(FIRST_TOKEN_COLUMNS, bounds, strict=True):
        sums[name] = Count("pk", filter=Q(first_token_ms__gt=above, first_token_ms__lte=upto))
    return {f"sum_{name}": sums[name] for name in FROM_LEDGER}
