"""The bill at a glance: what was spent, by whom, on what, and how well it went."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from chat.admin.dashboard import key_figures as tiles
from chat.admin.dashboard import table, usage_charts
from chat.admin.dashboard.query import DIMENSIONS, RANGES, REFRESH, Wish, wish_of
from chat.admin.pages import SEE_USAGE, needs, show
from chat.usage import reports
from chat.usage.reports import Line, Span

SHOWN_LINES = 500


@needs(SEE_USAGE)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    wish = wish_of(request)
    lines = reports.by(wish.by, wish.span, order=wish.order)
    if request.GET.get("format") == "csv":
        return table.sheet(wish, lines)
    now, before = reports.total(wish.span), _line_before(wish.span)
    response = show(
        request,
        "dashboard",
        _("Usage"),
        wish=wish,
        period=_period(wish.span),
        ranges=_ranges(wish),
        tabs=_tabs(wish),
        tiles=tiles.tiles(now, before, wish.span),
        charts=usage_charts.draw(wish.span, lines if wish.by == "day" else None),
        heads=table.heads(wish),
        with_people=wish.by != "user",
        rows=[table.row(line, wish, now.cost) for line in lines[:SHOWN_LINES]],
        hidden=max(len(lines) - SHOWN_LINES, 0),
        total=table.row(now, wish, now.cost),
        csv_query=wish.query(format="csv"),
        refresh_query=wish.query(every="" if wish.every else str(REFRESH)),
        unpriced=now.unpriced,
        estimated=now.estimated,
    )
    if wish.every:
        response.headers["Refresh"] = str(REFRESH)
    return response


def _line_before(span: Span) -> Line:
    """As many days right before; nothing for today alone, which is not over yet."""
    if span == Span.last_days(1):
        return Line()
    last = span.first - dt.timedelta(days=1)
    return reports.total(Span(first=last - dt.timedelta(days=span.length - 1), last=last))


def _period(span: Span) -> str:
    first, last = date_format(span.first), date_format(span.last)
    return first if first == last else f"{first} – {last}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    label: str
    query: str
    chosen: bool


def _ranges(wish: Wish) -> list[Choice]:
    labels = {1: _("Today"), 7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
    return [
        Choice(label=labels[days], query=wish.query(days=str(days), since="", until=""), chosen=days == wish.days)
        for days in RANGES
    ]


def _tabs(wish: Wish) -> list[Choice]:
    return [
        Choice(label=str(label), query=wish.query(by=name, order=""), chosen=name == wish.by)
        for name, label in DIMENSIONS.items()
    ]
