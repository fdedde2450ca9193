"""The dashboard's charts, as SVG geometry.

Attributes only, so that the page needs neither scripts nor inline styles. Coordinates are strings, because Django's
templates localise numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from chat.admin.dashboard.key_figures import failed_rate, stopped_rate
from chat.infra import formatting
from chat.usage import reports
from chat.usage.reports import DateRange, UsageLine

MIN_DAYS = 14
HEIGHT = 100
STEP = 10
GAP = 2

Format = Callable[[float], str]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One measure with a value for each label; None is not measured. `kind` is its CSS class."""

    kind: str
    label: str
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Bar:
    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One label of the x axis, with its tooltip and its bars from bottom to top."""

    x: str
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True, kw_only=True)
class Line:
    """Connected points, as the attribute `points` of a polyline."""

    kind: str
    points: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`top` and `middle` label the y axis, `first` and `last` the x axis; `summary` is the accessible name."""

    title: str
    summary: str
    top: str
    middle: str
    first: str
    last: str
    width: int
    columns: Sequence[Column]
    lines: Sequence[Line]
    legend: Sequence[Series]


def usage_charts(date_range: DateRange, lines: list[UsageLine] | None) -> list[Chart]:
    """The charts of a range, which is extended to at least `MIN_DAYS`.

    `lines` are the lines by day, where the caller has read them for this range.
    """
    first = min(date_range.first, date_range.last - dt.timedelta(days=MIN_DAYS - 1))
    charted = DateRange(first=first, last=date_range.last)
    days = reports.every_day(charted, lines) if lines and charted == date_range else reports.by_day(charted)
    labels = [date_format(day, "MONTH_DAY_FORMAT") for day in charted]

    def series(kind: str, label: str, value: Callable[[UsageLine], float | None]) -> Series:
        return Series(kind=kind, label=label, values=[value(day) for day in days])

    answers = [
        series("a", _("answered"), lambda day: day.requests - day.failed - day.stopped),
        series("quiet", _("stopped"), lambda day: day.stopped),
        series("bad", _("failed"), lambda day: day.failed),
        series("warn", _("refused by a limit"), lambda day: day.refusals),
    ]
    tokens = [
        series("b", _("prompt"), lambda day: day.prompt_tokens),
        series("a", _("answer"), lambda day: day.completion_tokens),
    ]
    first_token = [
        series("a", _("p50"), lambda day: day.first_token_p50),
        series("warn", _("p95"), lambda day: day.first_token_p95),
    ]
    rates = [series("bad", _("errors"), failed_rate), series("quiet", _("stopped"), stopped_rate)]
    return [
        bar_chart(_("Spend"), labels, [series("a", _("spend"), lambda day: day.cost)], formatting.dollars),
        bar_chart(_("Answers"), labels, answers, formatting.number),
        bar_chart(_("Tokens"), labels, tokens, formatting.short_number),
        bar_chart(_("People"), labels, [series("a", _("people"), lambda day: day.people)], formatting.number),
        line_chart(_("Time to first token"), labels, first_token, formatting.response_time, min_top=500),
        line_chart(_("Errors and stops"), labels, rates, formatting.percent, min_top=0.05),
    ]


def bar_chart(title: str, labels: Sequence[str], series: Sequence[Series], text: Format) -> Chart:
    """A column of stacked bars for each label; `text` formats a value."""
    top = axis_top(max((sum(each.values[i] or 0 for each in series) for i in range(len(labels))), default=0))
    columns = [
        Column(x=str(index * STEP), title=_tooltip(label, index, series, text), bars=_stacked_bars(index, series, top))
        for index, label in enumerate(labels)
    ]
    return _chart(title, labels, series, text, top, columns, [])


def line_chart(title: str, labels: Sequence[str], series: Sequence[Series], text: Format, min_top: float = 0) -> Chart:
    """A line for each series, interrupted where nothing was measured; the y axis reaches at least `min_top`."""
    top = axis_top(max((value for each in series for value in each.values if value is not None), default=0), min_top)
    lines = [Line(kind=each.kind, points=points) for each in series for points in _segments(each.values, top)]
    columns = [
        Column(x=str(index * STEP), title=_tooltip(label, index, series, text), bars=())
        for index, label in enumerate(labels)
    ]
    return _chart(title, labels, series, text, top, columns, lines)


def axis_top(value: float, minimum: float = 0) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten: half of it is a round number too."""
    value = max(value, minimum)
    if value <= 0:
        return 1
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= value * (1 - 1e-9))


def _stacked_bars(index: int, series: Sequence[Series], top: float) -> list[Bar]:
    bars, stacked = [], 0.0
    for each in series:
        height = (each.values[index] or 0) / top * HEIGHT
        if height:
            stacked += height
            bars.append(
                Bar(
                    kind=each.kind,
                    x=_coordinate(index * STEP + GAP / 2),
                    y=_coordinate(HEIGHT - stacked),
                    width=_coordinate(STEP - GAP),
                    height=_coordinate(height),
                )
            )
    return bars


def _segments(values: Sequence[float | None], top: float) -> list[str]:
    """The points of each run of measured values; a single one is doubled, so that it is drawn."""
    segments = []
    for is_measured, run in groupby(enumerate(values), key=lambda item: item[1] is not None):
        if is_measured:
            points = [
                f"{_coordinate(index * STEP + STEP / 2)},{_coordinate(HEIGHT - (value or 0) / top * HEIGHT)}"
                for index, value in run
            ]
            segments.append(" ".join(points * 2 if len(points) == 1 else points))
    return segments


def _tooltip(label: str, index: int, series: Sequence[Series], text: Format) -> str:
    parts = []
    for each in series:
        value = each.values[index]
        shown = "–" if value is None else text(value)
        parts.append(f"{each.label} {shown}" if len(series) > 1 else shown)
    return f"{label}: {', '.join(parts)}"


def _chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    text: Format,
    top: float,
    columns: Sequence[Column],
    lines: Sequence[Line],
) -> Chart:
    return Chart(
        title=title,
        summary=f"{title}, {labels[0]} – {labels[-1]}" if labels else title,
        top=text(top),
        middle=text(top / 2),
        first=labels[0] if labels else "",
        last=labels[-1] if len(labels) > 1 else "",
        width=max(len(labels), 1) * STEP,
        columns=columns,
        lines=lines,
        legend=series if len(series) > 1 else (),
    )


def _coordinate(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
