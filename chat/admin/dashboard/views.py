"""The dashboard page."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from chat.admin.dashboard import charts, key_figures, table
from chat.admin.dashboard.query import DAY_CHOICES, DIMENSION_LABELS, REFRESH_SECONDS, DashboardQuery, parse_query
from chat.admin.pages import SEE_USAGE, render_page, require_permissions
from chat.usage import reports
from chat.usage.reports import DateRange, UsageLine

MAX_ROWS = 500


@require_permissions(SEE_USAGE)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """The usage of a range of days, as a page or, with `?format=csv`, as CSV."""
    query = parse_query(request)
    lines = reports.by(query.by, query.date_range, order=query.order)
    if request.GET.get("format") == "csv":
        return table.csv_download(query, lines)
    total, previous = reports.total(query.date_range), _previous_total(query.date_range)
    response = render_page(
        request,
        "dashboard",
        _("Usage"),
        query=query,
        period=_period(query.date_range),
        ranges=_ranges(query),
        tabs=_tabs(query),
        tiles=key_figures.tiles(total, previous, query.date_range),
        charts=charts.usage_charts(query.date_range, lines if query.by == "day" else None),
        columns=table.columns(query),
        with_people=query.by != "user",
        rows=[table.row(line, query, total.cost) for line in lines[:MAX_ROWS]],
        hidden=max(len(lines) - MAX_ROWS, 0),
        total=table.row(total, query, total.cost),
        csv_url=query.url(format="csv"),
        refresh_url=query.url(every="" if query.refresh else str(REFRESH_SECONDS)),
        unpriced=total.unpriced,
        estimated=total.estimated,
    )
    if query.refresh:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


def _previous_total(date_range: DateRange) -> UsageLine:
    """The usage of as many days right before. Empty for today alone, as today has not ended."""
    if date_range == DateRange.last_days(1):
        return UsageLine()
    last = date_range.first - dt.timedelta(days=1)
    return reports.total(DateRange(first=last - dt.timedelta(days=date_range.length - 1), last=last))


def _period(date_range: DateRange) -> str:
    first, last = date_format(date_range.first), date_format(date_range.last)
    return first if first == last else f"{first} – {last}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A link that changes one query parameter."""

    label: str
    url: str
    chosen: bool


def _ranges(query: DashboardQuery) -> list[Choice]:
    labels = {1: _("Today"), 7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
    return [
        Choice(label=labels[days], url=query.url(days=str(days), since="", until=""), chosen=days == query.days)
        for days in DAY_CHOICES
    ]


def _tabs(query: DashboardQuery) -> list[Choice]:
    return [
        Choice(label=str(label), url=query.url(by=name, order=""), chosen=name == query.by)
        for name, label in DIMENSION_LABELS.items()
    ]
