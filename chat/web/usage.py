"""What a person has left, and what they used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest
from chat.limits import limiter, plans
from chat.limits import messages as wording
from chat.limits.values import RuleState
from chat.models import User
from chat.usage import reports
from chat.usage.reports import Line, Span
from chat.web.decorators import login_required

RANGES = (7, 30, 90)
HEIGHT = 100
STEP = 10
GAP = 2


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """One limit in words; `percent` is used and held, of the limit."""

    name: str
    label: str
    percent: int
    level: str
    used: str
    held: str
    remaining: str
    resets_at: dt.datetime | None


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
        "gauges": gauges(person),
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


def gauges(person: User) -> list[Gauge] | None:
    """Every limit, the tightest first; None while the limiter does not answer."""
    try:
        states = limiter.peek_sync(plans.subject_of(person), plans.rules_for(person))
    except errors.LimiterUnavailable:
        return None
    return [_gauge(state) for state in sorted(states, key=lambda state: -state.share)]


def _gauge(state: RuleState) -> Gauge:
    def amount(value: int) -> str:
        return dollars(value) if state.rule.unit == "cost" else f"{value:,}"

    percent = round(100 * state.share)
    return Gauge(
        name=state.rule.name,
        label=wording.describe(state.rule),
        percent=percent,
        level="out" if not state.remaining else "low" if percent >= 80 else "ok",
        used=amount(state.used),
        held=amount(state.held),
        remaining=amount(state.remaining),
        resets_at=timezone.now() + dt.timedelta(seconds=state.resets_in) if state.resets_in else None,
    )


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


def dollars(micro: int) -> str:
    """Cents, or as many decimals as less than a cent needs."""
    amount = micro / 1_000_000
    if amount >= 0.01 or not micro:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if micro >= 100 else f"${amount:.6f}"
