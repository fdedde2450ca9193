"""The dashboard's charts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from chat.admin.dashboard import charts
from chat.admin.dashboard import key_figures as tiles
from chat.admin.dashboard.charts import Chart, Series
from chat.usage import formatting as words
from chat.usage import reports
from chat.usage.reports import Line, Span

SHORTEST_CHART = 14


def draw(wished: Span, known: Sequence[Line] | None) -> list[Chart]:
    """`known` are the lines by day, where the table has asked for just these."""
    span = _charted(wished)
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


def _charted(span: Span) -> Span:
    """A day or a week alone draws no picture."""
    first = min(span.first, span.last - dt.timedelta(days=SHORTEST_CHART - 1))
    return Span(first=first, last=span.last)


def _each_day(span: Span, lines: Sequence[Line]) -> list[Line]:
    found = {line.key: line for line in lines}
    return [found.get(str(day), Line(key=str(day))) for day in span]
