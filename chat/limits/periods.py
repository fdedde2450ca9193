"""Days and months by the calendar of a time zone, in milliseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from chat.limits.values import Edges, Period, Rule

HOUR_MS = 3_600_000
KEPT_MS = {"day": 8 * 24 * HOUR_MS, "month": 40 * 24 * HOUR_MS}


def edges(now: int, zone: dt.tzinfo) -> dict[Period, Edges]:
    """The present and the next day and month at `now`, by the calendar of the zone."""
    today = dt.datetime.fromtimestamp(now / 1000, zone).date()
    days = [today + dt.timedelta(days=n) for n in range(3)]
    months = [_month(today, n) for n in range(3)]
    return {"day": _instants(days, zone), "month": _instants(months, zone)}


def _month(day: dt.date, ahead: int) -> dt.date:
    years, month = divmod(day.month - 1 + ahead, 12)
    return dt.date(day.year + years, month + 1, 1)


def _instants(days: Sequence[dt.date], zone: dt.tzinfo) -> Edges:
    first, second, third = (
        int(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000) for day in days
    )
    return first, second, third


def present_period(edges: Edges, now: int) -> tuple[int, int]:
    start, end, after = edges
    return (start, end) if now < end else (end, after)


def ttl_ms(rules: Sequence[Rule]) -> int:
    """The longest period plus slack: a shorter one would forget counts that still bind."""
    return max((KEPT_MS[r.period] if r.period else 2 * r.window_ms for r in rules), default=0) + HOUR_MS
