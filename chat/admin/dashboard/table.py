"""The dashboard's table: its heads, its rows, and the same as a sheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.http import HttpResponse
from django.utils.formats import date_format

from chat.admin import csv_export as sheets
from chat.admin.dashboard.query import COLUMNS, DIMENSIONS, Wish
from chat.admin.pages import ledger_days, ledger_url
from chat.usage import formatting as words
from chat.usage.reports import Line, Span


@dataclass(frozen=True, kw_only=True)
class Head:
    label: str
    query: str
    sorted: Literal["ascending", "descending", "none"]


def heads(wish: Wish) -> list[Head]:
    found = []
    for name, label in COLUMNS.items():
        if name == "people" and wish.by == "user":
            continue
        here = wish.order.removeprefix("-") == name
        down = wish.order.startswith("-")
        first = name if name == "label" and wish.by != "day" else f"-{name}"
        turned = (name if down else f"-{name}") if here else first
        found.append(
            Head(
                label=str(DIMENSIONS[wish.by] if name == "label" else label),
                query=wish.query(order=turned),
                sorted=("descending" if down else "ascending") if here else "none",
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line as the table writes it; `share` is the part of all spending in percent, as SVG wants it."""

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


def row(line: Line, wish: Wish, whole: int) -> Row:
    filters = _ledger_filters(line, wish)
    return Row(
        label=date_format(dt.date.fromisoformat(line.key), "D j M Y") if wish.by == "day" and line.key else line.label,
        url=ledger_url(**filters),
        cost=words.dollars(line.cost),
        share=f"{line.cost / whole * 100:.1f}" if whole else "0",
        requests=words.count(line.requests),
        tokens=words.count(line.tokens),
        people=words.count(line.people),
        refusals=words.count(line.refusals),
        failed=words.count(line.failed),
        failed_rate=words.percent(line.failed / line.requests) if line.failed else "",
        failed_url=ledger_url(**filters, ended="broken") if line.failed else "",
        stopped=words.count(line.stopped),
        stopped_rate=words.percent(line.stopped / line.requests) if line.stopped else "",
        first_token_p50=words.seconds(line.first_token_p50),
        first_token_p95=words.seconds(line.first_token_p95),
    )


def _ledger_filters(line: Line, wish: Wish) -> dict[str, str]:
    """What shows the rows of this line in the ledger."""
    if wish.by == "day" and line.key:
        day = dt.date.fromisoformat(line.key)
        return ledger_days(Span(first=day, last=day))
    name = {"user": "person", "group": "group", "model": "model"}.get(wish.by)
    own = {name: line.key or "none"} if name and line.label else {}
    return ledger_days(wish.span) | own


def sheet(wish: Wish, lines: Sequence[Line]) -> HttpResponse:
    """All lines, as plain numbers: dollars, milliseconds."""
    names = [
        "requests", "people", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "refusals",
        "failed", "stopped", "estimated", "unpriced", "first_token_p50", "first_token_p95",
    ]  # fmt: skip
    rows = [(line.label, f"{line.cost / 1_000_000:.6f}", *(getattr(line, name) for name in names)) for line in lines]
    name = f"usage-by-{wish.by}-{wish.span.first}-{wish.span.last}"
    return sheets.download(name, [wish.by, "cost_usd", *names], rows)
