"""Days and months of a time zone, in milliseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from chat.limits.values import Period


class PeriodEdges(NamedTuple):
    """Start and end of the current day or month, and the end of the next one."""

    start: int
    end: int
    next_end: int

    def current(self, now: int) -> tuple[int, int]:
        """Start and end of the period that `now` is in. A new one may have started since the edges were computed."""
        return (self.start, self.end) if now < self.end else (self.end, self.next_end)


def period_edges(now: int, zone: dt.tzinfo) -> dict[Period, PeriodEdges]:
    """The current and the next day and month at `now`."""
    today = dt.datetime.fromtimestamp(now / 1000, zone).date()
    days = [today + dt.timedelta(days=n) for n in range(3)]
    months = [_month(today, n) for n in range(3)]
    return {"day": _edges(days, zone), "month": _edges(months, zone)}


class Periods:
    """The day and month at any time in one time zone. Computed once a day: it takes longer than a decision."""

    def __init__(self, zone: dt.tzinfo) -> None:
        self._zone = zone
        self._today: Mapping[Period, PeriodEdges] = {}

    def at(self, now: int) -> Mapping[Period, PeriodEdges]:
        today = self._today
        if not today or not today["day"].start <= now < today["day"].end:
            today = self._today = period_edges(now, self._zone)
        return today


def _month(day: dt.date, ahead: int) -> dt.date:
    years, month = divmod(day.month - 1 + ahead, 12)
    return dt.date(day.year + years, month + 1, 1)


def _edges(days: Sequence[dt.date], zone: dt.tzinfo) -> PeriodEdges:
    return PeriodEdges(
        *(int(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000) for day in days)
    )
