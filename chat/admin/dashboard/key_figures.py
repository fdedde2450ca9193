"""The dashboard's figures, each beside the same number of days before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.admin.pages import ledger_days, ledger_url
from chat.usage import formatting as words
from chat.usage.reports import Line, Span

Better = Literal["more", "less", ""]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """`change` compares with as many days before; `mood` is its CSS class."""

    label: str
    value: str
    detail: str
    change: str
    mood: str
    url: str


def tiles(now: Line, before: Line, span: Span) -> list[Tile]:
    def tile(
        label: str, of: Callable[[Line], float | None], words_of: Callable[[float], str], detail: str, better: Better,
        **filters: str,
    ) -> Tile:  # fmt: skip
        value, earlier = of(now), of(before)
        return Tile(
            label=label,
            value="–" if value is None else words_of(value),
            detail=detail,
            change=_change(value, earlier),
            mood=_mood(value, earlier, better),
            url=ledger_url(**ledger_days(span), **filters) if filters else "",
        )

    each = now.cost / now.people if now.people else 0
    return [
        tile(_("Spend"), lambda line: line.cost, words.dollars, _("%s a person") % words.dollars(each), "less"),
        tile(_("Answers"), lambda line: line.requests, words.short, _daily(now, span), ""),
        tile(_("Tokens"), lambda line: line.tokens, words.short, _in_and_out(now), ""),
        tile(_("People"), lambda line: line.people, words.count, _("who got an answer"), "more"),
        tile(_("Refusals"), lambda line: line.refusals, words.short, _("by a limit of ours"), "less"),
        tile(
            _("Errors"), rate("failed"), words.percent, _answers(now.failed), "less",
            ended="broken",
        ),
        tile(
            _("Stopped"), rate("stopped"), words.percent, _answers(now.stopped), "",
            ended="stopped",
        ),
        tile(
            _("First token"), lambda line: line.first_token_p50, words.seconds,
            _("p95 %s") % words.seconds(now.first_token_p95), "less",
        ),
    ]  # fmt: skip


def rate(name: str) -> Callable[[Line], float | None]:
    return lambda line: getattr(line, name) / line.requests if line.requests else None


def _answers(number: int) -> str:
    return ngettext("%s answer", "%s answers", number) % words.count(number)


def _daily(line: Line, span: Span) -> str:
    if span.length == 1:
        return _("%s a person") % words.short(round(line.requests / (line.people or 1), 1))
    return _("%s a day") % words.short(round(line.requests / span.length, 1))


def _in_and_out(line: Line) -> str:
    return _("%(prompt)s in, %(completion)s out") % {
        "prompt": words.short(line.prompt_tokens),
        "completion": words.short(line.completion_tokens),
    }


def _change(value: float | None, earlier: float | None) -> str:
    if not value or not earlier:
        return ""
    change = value / earlier - 1
    if abs(change) < 0.005:
        return "±0 %"
    return f"{'▲' if change > 0 else '▼'} {abs(change) * 100:,.0f} %"


def _mood(value: float | None, earlier: float | None, better: Better) -> str:
    if not better or not value or not earlier or abs(value / earlier - 1) < 0.005:
        return ""
    return "good" if (value > earlier) == (better == "more") else "bad"
