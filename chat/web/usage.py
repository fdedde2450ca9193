"""The usage page: what is left of the user's limits, and what the user has used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest
from chat.infra import formatting
from chat.limits.status import LimitStatus, limit_states, present
from chat.models import User
from chat.usage import reports
from chat.usage.reports import DateRange, UsageLine
from chat.web.decorators import login_required

RANGES = (7, 30, 90)
HEIGHT = 100
STEP = 10
GAP = 2


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One day of a chart, in units of its view box."""

    x: int
    y: int
    height: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A bar for each day with usage; `summary` is the accessible name."""

    title: str
    summary: str
    total: str
    width: int
    bars: Sequence[Bar]


@dataclass(frozen=True, kw_only=True)
class Row:
    label: str
    messages: str
    tokens: str
    cost: str


@require_safe
@login_required
def usage(request: AuthenticatedHttpRequest) -> HttpResponse:
    """The user's limits and usage, by the same days as in the admin. A range that is not offered becomes 30 days."""
    person = request.user
    asked = request.GET.get("days", "")
    length = next((days for days in RANGES if asked == str(days)), 30)
    date_range = DateRange.last_days(length)
    days = reports.by_day(date_range, user=person)
    total = reports.total(date_range, user=person)
    context = {
        "gauges": _limits(person),
        "ranges": RANGES,
        "length": length,
        "total": total,
        "cost": formatting.dollars(total.cost),
        "charts": charts(days, total),
        "days": [_row(line, _day(line)) for line in reversed(days) if line.requests or line.refusals],
        "models": [_row(line, line.label) for line in reports.by("model", date_range, user=person)],
        "zone": settings.TIME_ZONE,
    }
    return render(request, "chat/usage.html", context)


def _limits(person: User) -> list[LimitStatus] | None:
    """Every limit, the tightest first; None while limits cannot be checked."""
    try:
        return present(limit_states(person))
    except errors.LimiterUnavailable:
        return None


def charts(days: Sequence[UsageLine], total: UsageLine) -> list[Chart]:
    """Spend, tokens and messages by day; `total` is the sum of the days."""
    costs, tokens, requests = ([getattr(day, name) for day in days] for name in ("cost", "tokens", "requests"))
    return [
        _chart(_("Spend"), days, costs, formatting.dollars, total.cost),
        _chart(_("Tokens"), days, tokens, formatting.number, total.tokens),
        _chart(_("Messages"), days, requests, formatting.number, total.requests),
    ]


def _chart(
    title: str, days: Sequence[UsageLine], values: Sequence[int], text: Callable[[float], str], total: int
) -> Chart:
    highest = max(values)
    bars = [
        Bar(x=index * STEP + GAP // 2, y=HEIGHT - height, height=height, title=f"{_day(day)}: {text(value)}")
        for index, (day, value) in enumerate(zip(days, values, strict=True))
        if (height := _bar_height(value, highest))
    ]
    summary = _("%(what)s by day, %(first)s to %(last)s: %(total)s in all, at most %(highest)s a day") % {
        "what": title,
        "first": _day(days[0]),
        "last": _day(days[-1]),
        "total": text(total),
        "highest": text(highest),
    }
    return Chart(title=title, summary=summary, total=text(total), width=len(days) * STEP, bars=bars)


def _bar_height(value: int, highest: int) -> int:
    """In units of the view box; at least 2, so that small values are visible."""
    return max(2, round(value / highest * HEIGHT)) if value else 0


def _row(line: UsageLine, label: str) -> Row:
    return Row(
        label=label,
        messages=formatting.number(line.requests),
        tokens=formatting.number(line.tokens),
        cost=formatting.dollars(line.cost),
    )


def _day(line: UsageLine) -> str:
    return date_format(dt.date.fromisoformat(line.key), "MONTH_DAY_FORMAT")
