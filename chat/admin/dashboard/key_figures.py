"""The dashboard's key figures, each compared with the same number of days before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.admin.pages import ledger_days, ledger_url
from chat.infra import formatting
from chat.usage.reports import DateRange, UsageLine

Better = Literal["more", "less", ""]
Measure = Callable[[UsageLine], float | None]
UNCHANGED = 0.005
"""A smaller relative change is shown as none."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure. `change` is the relative change, `mood` its CSS class, `url` leads to the ledger rows."""

    label: str
    value: str
    detail: str
    change: str
    mood: str
    url: str


def tiles(total: UsageLine, previous: UsageLine, date_range: DateRange) -> list[Tile]:
    """The figures of a range of days; `previous` is the usage of as many days before."""

    def tile(
        label: str, measure: Measure, text: Callable[[float], str], detail: str, better: Better, **filters: str
    ) -> Tile:
        value, earlier = measure(total), measure(previous)
        return Tile(
            label=label,
            value="–" if value is None else text(value),
            detail=detail,
            change=_change(value, earlier),
            mood=_mood(value, earlier, better),
            url=ledger_url(**ledger_days(date_range), **filters) if filters else "",
        )

    cost_per_person = formatting.dollars(total.cost / total.people if total.people else 0)
    p95 = formatting.response_time(total.first_token_p95)
    dollars, short, percent = formatting.dollars, formatting.short_number, formatting.percent
    return [
        tile(_("Spend"), lambda line: line.cost, dollars, _("%s a person") % cost_per_person, "less"),
        tile(_("Answers"), lambda line: line.requests, short, _answer_rate(total, date_range), ""),
        tile(_("Tokens"), lambda line: line.tokens, short, _prompt_and_completion(total), ""),
        tile(_("People"), lambda line: line.people, formatting.number, _("with at least one answer"), "more"),
        tile(_("Refusals"), lambda line: line.refusals, short, _("by limits of this site"), "less"),
        tile(_("Errors"), failed_rate, percent, _answers(total.failed), "less", ended="broken"),
        tile(_("Stopped"), stopped_rate, percent, _answers(total.stopped), "", ended="stopped"),
        tile(_("First token"), lambda line: line.first_token_p50, formatting.response_time, _("p95 %s") % p95, "less"),
    ]


def failed_rate(line: UsageLine) -> float | None:
    """The share of answers that failed or were interrupted; None without answers."""
    return line.failed / line.requests if line.requests else None


def stopped_rate(line: UsageLine) -> float | None:
    """The share of answers that were stopped; None without answers."""
    return line.stopped / line.requests if line.requests else None


def _answers(count: int) -> str:
    return ngettext("%s answer", "%s answers", count) % formatting.number(count)


def _answer_rate(line: UsageLine, date_range: DateRange) -> str:
    if date_range.length == 1:
        return _("%s a person") % formatting.short_number(round(line.requests / (line.people or 1), 1))
    return _("%s a day") % formatting.short_number(round(line.requests / date_range.length, 1))


def _prompt_and_completion(line: UsageLine) -> str:
    return _("%(prompt)s in, %(completion)s out") % {
        "prompt": formatting.short_number(line.prompt_tokens),
        "completion": formatting.short_number(line.completion_tokens),
    }


def _change(value: float | None, earlier: float | None) -> str:
    if not value or not earlier:
        return ""
    change = value / earlier - 1
    if abs(change) < UNCHANGED:
        return "±0 %"
    return f"{'▲' if change > 0 else '▼'} {abs(change) * 100:,.0f} %"


def _mood(value: float | None, earlier: float | None, better: Better) -> str:
    if not better or not value or not earlier or abs(value / earlier - 1) < UNCHANGED:
        return ""
    return "good" if (value > earlier) == (better == "more") else "bad"
