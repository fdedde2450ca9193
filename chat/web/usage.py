"""What a person has left, and what they used."""

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
from chat.limits.messages import dollars
from chat.limits.status import LimitStatus, limit_states, present
from chat.models import User
from chat.usage import reports
from chat.usage.reports import Line, Span
from chat.web.decorators import login_required

RANGES = (7, 30, 90)
HEIGHT = 100
STEP = 10
GAP = 2


@dataclass(frozen=True, kw_only=True)
class Bar:
    """In units of the chart's view box."""

    x: int
    y: int
    height: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
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
    """Days and amounts as the admin sees them; a range that is not offered becomes 30 days."""
    person = request.user
    asked = request.GET.get("days", "")
    length = next((days for days in RANGES if asked == str(days)), 30)
    span = Span.last_days(length)
    days = reports.days(span, user=person)
    total = reports.total(span, user=person)
    context = {
        "gauges": _limits(person),
        "ranges": RANGES,
        "length": length,
        "total": total,
        "cost": dollars(total.cost),
        "charts": charts(days, total),
        "days": [_row(line, _day(line)) for line in reversed(days) if line.requests or line.refusals],
        "models": [_row(line, line.label) for line in reports.by("model", span, user=person)],
        "zone": settings.TIME_ZONE,
    }
    return render(request, "chat/usage.html", context)


def _limits(person: User) -> list[LimitStatus] | None:
    """Every limit, the tightest first; None while limits cannot be checked."""
    try:
        return present(limit_states(person))
    except errors.LimiterUnavailable:
        return None


def charts(days: Sequence[Line], total: Line) -> list[Chart]:
    return [
        _chart(_("Spend"), days, [line.cost for line in days], dollars, total.cost),
        _chart(_("Tokens"), days, [line.tokens for line in days], _count, total.tokens),
        _chart(_("Messages"), days, [line.requests for line in days], _count, total.requests),
    ]


def _chart(title: str, days: Sequence[Line], values: Sequence[int], words: Callable[[int], str], total: int) -> Chart:
    most = max(values)
    bars = [
        Bar(x=place * STEP + GAP // 2, y=HEIGHT - height, height=height, title=f"{_day(line)}: {words(value)}")
        for place, (line, value) in enumerate(zip(days, values, strict=True))
        if (height := _height(value, most))
    ]
    summary = _("%(what)s by day, %(first)s to %(last)s: %(total)s in all, at most %(most)s a day") % {
        "what": title,
        "first": _day(days[0]),
        "last": _day(days[-1]),
        "total": words(total),
        "most": words(most),
    }
    return Chart(title=title, summary=summary, total=words(total), width=len(days) * STEP, bars=bars)


def _height(value: int, most: int) -> int:
    """Whatever is not nothing can be seen."""
    return max(2, round(value / most * HEIGHT)) if value else 0


def _row(line: Line, label: str) -> Row:
    return Row(label=label, messages=_count(line.requests), tokens=_count(line.tokens), cost=dollars(line.cost))


def _day(line: Line) -> str:
    return date_format(dt.date.fromisoformat(line.key), "MONTH_DAY_FORMAT")


def _count(value: int) -> str:
    return f"{value:,}"
