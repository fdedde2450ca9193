"""Compare the daily totals (`DailyUsage`) with the usage ledger (`UsageRecord`), and rebuild them from it."""

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

TOKEN_COLUMNS = ("prompt_tokens", "cached_tokens", "reasoning_tokens", "completion_tokens")
LEDGER_COLUMNS: tuple[str, ...] = (*(name for name in SUMMED_COLUMNS if name != "refusals"), *FIRST_TOKEN_COLUMNS)
"""The columns of the daily totals that the ledger determines. It has no row for a refusal."""

Key = tuple[int | None, str]
"""User id (None for removed accounts) and model."""

Totals = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One column of a daily total that is not the sum of its ledger rows. Costs are micro-dollars."""

    day: dt.date
    user_id: int | None
    model: str
    column: str
    ledger: int
    daily_total: int

    def __str__(self) -> str:
        user = f"user {self.user_id}" if self.user_id else "removed users"
        return (
            f"{self.day} {user} {self.model}: {self.column} is {self.ledger} in the ledger, "
            f"{self.daily_total} in the daily totals"
        )


def recorded_days() -> list[dt.date]:
    """All days with a ledger row or a daily total, the earliest first. Two queries."""
    ledger = UsageRecord.objects.order_by().values_list("day", flat=True).distinct()
    return sorted({*ledger, *DailyUsage.objects.order_by().values_list("day", flat=True).distinct()})


def differences(day: dt.date) -> Iterator[Difference]:
    """The columns of a day that differ.

    One query reads both tables, so that an answer that ends meanwhile is in both or in neither.
    """
    ledger, daily = _totals(day)
    zeros = dict.fromkeys(LEDGER_COLUMNS, 0)
    for key in sorted({*ledger, *daily}, key=str):
        expected, found = ledger.get(key, zeros), daily.get(key, zeros)
        for column in LEDGER_COLUMNS:
            if expected[column] != found[column]:
                yield Difference(
                    day=day,
                    user_id=key[0],
                    model=key[1],
                    column=column,
                    ledger=expected[column],
                    daily_total=found[column],
                )


def rebuild(day: dt.date) -> None:
    """Write the daily totals of a day from the ledger. Refusals are kept, as the ledger has none.

    The rows of the day are locked before the ledger is read: an answer that ends meanwhile is either in the
    sums read here or is added after the transaction.
    """
    with transaction.atomic():
        rows = list(DailyUsage.objects.select_for_update().filter(day=day).order_by("user_id", "model", "pk"))
        ledger, _daily = _totals(day)
        for key, same in groupby(rows, key=lambda row: (row.user_id, row.model)):
            _replace(list(same), ledger.pop(key, {}))
        DailyUsage.objects.bulk_create(
            DailyUsage(user_id=user_id, model=model, day=day, **totals) for (user_id, model), totals in ledger.items()
        )


def _replace(rows: list[DailyUsage], totals: Mapping[str, int]) -> None:
    """Write the totals into the first row and delete the others; removed accounts may have several rows."""
    kept, *others = rows
    refusals = sum(row.refusals for row in rows)
    DailyUsage.objects.filter(pk__in=[row.pk for row in others]).delete()
    if not totals and not refusals:
        kept.delete()
        return
    values = dict.fromkeys(LEDGER_COLUMNS, 0) | dict(totals) | {"refusals": refusals}
    DailyUsage.objects.filter(pk=kept.pk).update(**values)


def _totals(day: dt.date) -> tuple[dict[Key, Totals], dict[Key, Totals]]:
    """The sums of the ledger and those of the daily totals, by user and model."""
    ledger = UsageRecord.objects.filter(day=day).order_by().values("user_id", "model")
    daily = DailyUsage.objects.filter(day=day).order_by().values("user_id", "model")
    daily_sums = {f"sum_{name}": Sum(name, default=0) for name in LEDGER_COLUMNS}
    query = ledger.annotate(source=Value(0), **_ledger_sums()).union(
        daily.annotate(source=Value(1), **daily_sums), all=True
    )
    query = query.order_by()  # Django 6.1 would apply the ledger's default ordering to the union
    sources: tuple[dict[Key, Totals], dict[Key, Totals]] = ({}, {})
    row: Any
    for row in query:
        sources[row["source"]][row["user_id"], row["model"]] = {name: row[f"sum_{name}"] for name in LEDGER_COLUMNS}
    return sources


def _ledger_sums() -> dict[str, Any]:
    """How each column of the daily totals is computed from ledger rows, in the order of `LEDGER_COLUMNS`."""
    sums: dict[str, Any] = {
        "requests": Count("pk"),
        "failed": Count("pk", filter=Q(status__in=FAILED_STATUSES)),
        "stopped": Count("pk", filter=Q(status="stopped")),
        "estimated": Count("pk", filter=Q(exact=False)),
        "unpriced": Count("pk", filter=Q(cost=None)),
        "cost": Sum("cost", default=0),
        **{name: Sum(name, default=0) for name in TOKEN_COLUMNS},
    }
    bounds = pairwise((-1, *FIRST_TOKEN_BOUNDS_MS, 2**31))
    for name, (above, up_to) in zip(FIRST_TOKEN_COLUMNS, bounds, strict=True):
        sums[name] = Count("pk", filter=Q(first_token_ms__gt=above, first_token_ms__lte=up_to))
    return {f"sum_{name}": sums[name] for name in LEDGER_COLUMNS}
