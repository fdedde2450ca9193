"""The dashboard's table: its columns, its rows, and the same lines as CSV."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.http import HttpResponse
from django.utils.formats import date_format

from chat.admin.csv_export import csv_response
from chat.admin.dashboard.query import COLUMN_LABELS, DIMENSION_LABELS, DashboardQuery
from chat.admin.pages import ledger_days, ledger_url
from chat.infra import formatting
from chat.usage.reports import DateRange, UsageLine

CSV_NUMBERS = (
    "requests",
    "people",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "refusals",
    "failed",
    "stopped",
    "estimated",
    "unpriced",
    "first_token_p50",
    "first_token_p95",
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """The head of a column; its link sorts by the column, or reverses the order."""

    label: str
    url: str
    sorted: Literal["ascending", "descending", "none"]


def columns(query: DashboardQuery) -> list[Column]:
    """The columns of the table; a line of one person needs no number of people."""
    return [_column(name, query) for name in COLUMN_LABELS if not (name == "people" and query.by == "user")]


def _column(name: str, query: DashboardQuery) -> Column:
    is_sorted = query.order.removeprefix("-") == name
    is_descending = query.order.startswith("-")
    if is_sorted:
        next_order = name if is_descending else f"-{name}"
    else:
        next_order = name if name == "label" and query.by != "day" else f"-{name}"
    return Column(
        label=str(DIMENSION_LABELS[query.by] if name == "label" else COLUMN_LABELS[name]),
        url=query.url(order=next_order),
        sorted=("descending" if is_descending else "ascending") if is_sorted else "none",
    )


@dataclass(frozen=True, kw_only=True)
class Row:
    """A formatted line; `share` is its percentage of the total cost, as a number for SVG."""

    label: str
    url: str
    cost: str
    share: str
    requests: str
    tokens: str
    people: str
    refusals: str
    failed: str
    failed_rate: str
    failed_url: str
    stopped: str
    stopped_rate: str
    first_token_p50: str
    first_token_p95: str


def row(line: UsageLine, query: DashboardQuery, total_cost: int) -> Row:
    """A line of the table; `total_cost` is in micro-dollars."""
    filters = _ledger_filters(line, query)
    is_day = query.by == "day" and line.key
    return Row(
        label=date_format(dt.date.fromisoformat(line.key), "D j M Y") if is_day else line.label,
        url=ledger_url(**filters),
        cost=formatting.dollars(line.cost),
        share=f"{line.cost / total_cost * 100:.1f}" if total_cost else "0",
        requests=formatting.number(line.requests),
        tokens=formatting.number(line.tokens),
        people=formatting.number(line.people),
        refusals=formatting.number(line.refusals),
        failed=formatting.number(line.failed),
        failed_rate=formatting.percent(line.failed / line.requests) if line.failed else "",
        failed_url=ledger_url(**filters, ended="broken") if line.failed else "",
        stopped=formatting.number(line.stopped),
        stopped_rate=formatting.percent(line.stopped / line.requests) if line.stopped else "",
        first_token_p50=formatting.response_time(line.first_token_p50),
        first_token_p95=formatting.response_time(line.first_token_p95),
    )


def _ledger_filters(line: UsageLine, query: DashboardQuery) -> dict[str, str]:
    """The query parameters of the ledger that select the rows of this line."""
    if query.by == "day" and line.key:
        day = dt.date.fromisoformat(line.key)
        return ledger_days(DateRange(first=day, last=day))
    name = {"user": "person", "group": "group", "model": "model"}.get(query.by)
    own = {name: line.key or "none"} if name and line.label else {}
    return ledger_days(query.date_range) | own


def csv_download(query: DashboardQuery, lines: Sequence[UsageLine]) -> HttpResponse:
    """All lines with unformatted numbers: costs in dollars, times in milliseconds."""
    rows = [
        (line.label, formatting.exact_dollars(line.cost), *(getattr(line, name) for name in CSV_NUMBERS))
        for line in lines
    ]
    name = f"usage-by-{query.by}-{query.date_range.first}-{query.date_range.last}"
    return csv_response(name, [query.by, "cost_usd", *CSV_NUMBERS], rows)
