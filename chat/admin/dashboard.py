"""The bill at a glance: what was spent, by whom, on what, and how well it went."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_safe

from chat import errors, reports
from chat.admin import charts, sheets, tiles, words
from chat.admin.charts import Chart, Series
from chat.admin.pages import SEE_USAGE, ledger_days, ledger_url, needs, show
from chat.reports import Dimension, Line, Span

RANGES = (1, 7, 30, 90)
LONGEST = 366
SHORTEST_CHART = 14
SHOWN_LINES = 500
REFRESH = 60

DIMENSIONS: Mapping[Dimension, str | Promise] = {
    "user": lazy("Person"),
    "group": lazy("Group"),
    "model": lazy("Model"),
    "day": lazy("Day"),
}
COLUMNS: Mapping[str, str | Promise] = {
    "label": "",
    "cost": lazy("Spend"),
    "requests": lazy("Answers"),
    "tokens": lazy("Tokens"),
    "people": lazy("People"),
    "refusals": lazy("Refusals"),
    "failed": lazy("Errors"),
    "stopped": lazy("Stopped"),
    "first_token_p50": lazy("First token p50"),
    "first_token_p95": lazy("p95"),
}


@needs(SEE_USAGE)
@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    wish = _wish(request)
    lines = reports.by(wish.by, wish.span, order=wish.order)
    if request.GET.get("format") == "csv":
        return _sheet(wish, lines)
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
        charts=_charts(_chart_span(wish.span), lines if wish.by == "day" else None),
        heads=_heads(wish),
        with_people=wish.by != "user",
        rows=[_row(line, wish, now.cost) for line in lines[:SHOWN_LINES]],
        hidden=max(len(lines) - SHOWN_LINES, 0),
        total=_row(now, wish, now.cost),
        csv_query=wish.query(format="csv"),
        refresh_query=wish.query(every="" if wish.every else str(REFRESH)),
        unpriced=now.unpriced,
        estimated=now.estimated,
    )
    if wish.every:
        response.headers["Refresh"] = str(REFRESH)
    return response


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the address asks for. `days` is one of `RANGES`, or 0 for a span of its own."""

    span: Span
    days: int
    by: Dimension
    order: str
    every: bool

    def query(self, **changes: str) -> str:
        fields = {"days": str(self.days)} if self.days else self.ends()
        fields |= {"by": self.by, "order": self.order, "every": str(REFRESH) if self.every else ""} | changes
        query = QueryDict(mutable=True)
        query.update({name: value for name, value in fields.items() if value})
        return "?" + query.urlencode()

    def ends(self) -> dict[str, str]:
        return {"since": str(self.span.first), "until": str(self.span.last)}


def _wish(request: HttpRequest) -> Wish:
    """Nonsense in the address counts as not said; a wrong range is explained."""
    get = request.GET
    by = cast("Dimension", get.get("by")) if get.get("by") in get_args(Dimension) else "user"
    order = get.get("order", "")
    if order.removeprefix("-") not in COLUMNS:
        order = "-label" if by == "day" else "-cost"
    days = next((days for days in RANGES if str(days) == get.get("days")), 0)
    span = Span.last_days(days or 30)
    if not days and (get.get("since") or get.get("until")):
        try:
            span = _checked(Span.parse(get.get("since", ""), get.get("until", "")))
        except errors.InvalidInput as error:
            messages.error(request, error.message)
            days = 30
    elif not days:
        days = 30
    return Wish(span=span, days=days, by=by, order=order, every="every" in get)


def _checked(span: Span) -> Span:
    if span.length > LONGEST:
        raise errors.InvalidInput(_("At most %(days)d days at once, please.") % {"days": LONGEST})
    return span


def _line_before(span: Span) -> Line:
    """As many days right before; nothing for today alone, which is not over yet."""
    if span == Span.last_days(1):
        return Line()
    last = span.first - dt.timedelta(days=1)
    return reports.total(Span(first=last - dt.timedelta(days=span.length - 1), last=last))


def _each_day(span: Span, lines: Sequence[Line]) -> list[Line]:
    found = {line.key: line for line in lines}
    return [found.get(str(day), Line(key=str(day))) for day in span]


def _chart_span(span: Span) -> Span:
    """A day or a week alone draws no picture."""
    first = min(span.first, span.last - dt.timedelta(days=SHORTEST_CHART - 1))
    return Span(first=first, last=span.last)


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


def _charts(span: Span, known: Sequence[Line] | None) -> list[Chart]:
    """`known` are the lines by day, where the table has asked for just these."""
    days = _each_day(span, known) if known and span.length > SHORTEST_CHART else reports.days(span)
    labels = [date_format(day, "MONTH_DAY_FORMAT") for day in span]

    def series(kind: str, label: str, of: Callable[[Line], float | None]) -> Series:
        return Series(kind=kind, label=label, values=[of(day) for day in days])

    return [
        charts.bars(_("Spend"), labels, [series("a", _("spend"), lambda d: d.cost)], words.dollars),
        charts.bars(
            _("Answers"),
            labels,
            [
                series("a", _("answered"), lambda d: d.requests - d.failed - d.stopped),
                series("quiet", _("stopped"), lambda d: d.stopped),
                series("bad", _("failed"), lambda d: d.failed),
                series("warn", _("refused by a limit"), lambda d: d.refusals),
            ],
            words.count,
        ),
        charts.bars(
            _("Tokens"),
            labels,
            [
                series("b", _("prompt"), lambda d: d.prompt_tokens),
                series("a", _("answer"), lambda d: d.completion_tokens),
            ],
            words.short,
        ),
        charts.bars(_("People"), labels, [series("a", _("people"), lambda d: d.people)], words.count),
        charts.lines(
            _("Time to first token"),
            labels,
            [
                series("a", _("p50"), lambda d: d.first_token_p50),
                series("warn", _("p95"), lambda d: d.first_token_p95),
            ],
            words.seconds,
            floor=500,
        ),
        charts.lines(
            _("Errors and stops"),
            labels,
            [series("bad", _("errors"), tiles.rate("failed")), series("quiet", _("stopped"), tiles.rate("stopped"))],
            words.percent,
            floor=0.05,
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class Head:
    label: str
    query: str
    sorted: Literal["ascending", "descending", "none"]


def _heads(wish: Wish) -> list[Head]:
    heads = []
    for name, label in COLUMNS.items():
        if name == "people" and wish.by == "user":
            continue
        here = wish.order.removeprefix("-") == name
        down = wish.order.startswith("-")
        first = name if name == "label" and wish.by != "day" else f"-{name}"
        turned = (name if down else f"-{name}") if here else first
        heads.append(
            Head(
                label=str(DIMENSIONS[wish.by] if name == "label" else label),
                query=wish.query(order=turned),
                sorted=("descending" if down else "ascending") if here else "none",
            )
        )
    return heads


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


def _row(line: Line, wish: Wish, whole: int) -> Row:
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


def _sheet(wish: Wish, lines: Sequence[Line]) -> HttpResponse:
    """All lines, as plain numbers: dollars, milliseconds."""
    names = [
        "requests", "people", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "refusals",
        "failed", "stopped", "estimated", "unpriced", "first_token_p50", "first_token_p95",
    ]  # fmt: skip
    rows = [(line.label, f"{line.cost / 1_000_000:.6f}", *(getattr(line, name) for name in names)) for line in lines]
    name = f"usage-by-{wish.by}-{wish.span.first}-{wish.span.last}"
    return sheets.download(name, [wish.by, "cost_usd", *names], rows)
