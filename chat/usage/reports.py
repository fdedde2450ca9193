"""Sums of the roll-ups: what the usage page, the admin's dashboard and `manage.py usage` show.

Everything is read from `DailyUsage`, so that its cost does not grow with the ledger.
Amounts are micro-dollars, times milliseconds, days those of the site's time zone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any, Literal

from django.db.models import Count, Q, Sum
from django.utils.translation import gettext as _

from chat import errors
from chat.models import (
    FIRST_TOKEN_BOUNDS_MS,
    FIRST_TOKEN_COLUMNS,
    SUMMED_COLUMNS,
    ChatModel,
    DailyUsage,
    DailyUsageQuerySet,
    User,
    site_day,
)

Dimension = Literal["user", "model", "day", "group"]
DIMENSIONS: tuple[Dimension, ...] = ("user", "model", "day", "group")
LONGEST = 3_660

_KEYS: Mapping[str, tuple[str, str]] = {
    "user": ("user_id", "user__username"),
    "model": ("model", "model"),
    "day": ("day", "day"),
    "group": ("user__groups__pk", "user__groups__name"),
}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Days of the site's time zone, both ends included."""

    first: dt.date
    last: dt.date

    @classmethod
    def last_days(cls, days: int) -> Span:
        """The last so many days, today included."""
        last = site_day()
        return cls(first=last - dt.timedelta(days=days - 1), last=last)

    @classmethod
    def parse(cls, since: str = "", until: str = "", *, days: int = 30) -> Span:
        """From what people type: `2026-03-31`, or `7d` for so many days up to the end. Raises `InvalidInput`.

        Without an end it is today; without a beginning it is `days` days up to the end.
        """
        last = _date(until) if until else site_day()
        if ago := re.fullmatch(r"([0-9]{1,4})d", since.strip()):
            days, since = int(ago[1]), ""
        if not since and not 1 <= days <= LONGEST:
            raise errors.InvalidInput(_("Between 1 and %(most)s days, please.") % {"most": LONGEST})
        try:
            first = _date(since) if since else last - dt.timedelta(days=days - 1)
        except OverflowError:
            raise errors.InvalidInput(_("This is not a date.")) from None
        if first > last:
            raise errors.InvalidInput(_("The first day is after the last."))
        if (last - first).days >= LONGEST:
            raise errors.InvalidInput(_("Between 1 and %(most)s days, please.") % {"most": LONGEST})
        return cls(first=first, last=last)

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self):
        return (self.first + dt.timedelta(days=number) for number in range(self.length))


def _date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007  a date has no zone
    except ValueError:
        raise errors.InvalidInput(_("A date looks like 2026-03-31.")) from None


@dataclass(frozen=True, kw_only=True)
class Line:
    """What some answers came to.

    `key` tells lines apart (an id, a model's name, a day) and is empty for what has none: people who
    were removed, people without a group. `people` counts those who got an answer and still have an account.
    `failed` counts broken answers too; `estimated` and `unpriced` say for how many answers the
    tokens were estimated and no price was known. A percentile is None where nothing was
    measured, and the last bound where it lies beyond.
    """

    key: str = ""
    label: str = ""
    requests: int = 0
    people: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    refusals: int = 0
    failed: int = 0
    stopped: int = 0
    estimated: int = 0
    unpriced: int = 0
    first_token_p50: int | None = None
    first_token_p95: int | None = None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


ORDERS: tuple[str, ...] = (*(field.name for field in fields(Line)), "tokens")


def total(span: Span, *, user: User | None = None) -> Line:
    """One query."""
    return _line(_rows(span, user).aggregate(**_sums()))


def by(dimension: Dimension, span: Span, *, user: User | None = None, order: str = "") -> list[Line]:
    """One line for each person, model, day or group with usage or a refusal; at most two queries.

    A person in several groups counts in each of them, so that the lines of groups may
    add up to more than `total`; people without a group share a line. `order` names a
    field of `Line`, with a minus for the largest first; by default days run forward and
    the rest by cost.
    """
    key, label = _KEYS[dimension]
    rows = _rows(span, user).order_by().values(key, label).annotate(**_sums())
    labels = {model.name: str(model) for model in ChatModel.objects.exclude(label="")} if dimension == "model" else {}
    lines = []
    for row in rows:
        name = "" if row[key] is None else str(row[key])
        lines.append(replace(_line(row), key=name, label=labels.get(name) or _label(dimension, row[label])))
    return _sorted(lines, order or ("key" if dimension == "day" else "-cost"))


def days(span: Span, *, user: User | None = None) -> list[Line]:
    """A line for every day, also for those without usage; one query."""
    found = {line.key: line for line in by("day", span, user=user)}
    return [found.get(str(day)) or Line(key=str(day), label=str(day)) for day in span]


def _rows(span: Span, user: User | None) -> DailyUsageQuerySet:
    rows = DailyUsage.objects.filter(day__range=(span.first, span.last))
    return rows.filter(user=user) if user is not None else rows


def _sums() -> dict[str, Any]:
    sums: dict[str, Any] = {f"sum_{name}": Sum(name, default=0) for name in (*SUMMED_COLUMNS, *FIRST_TOKEN_COLUMNS)}
    return sums | {"sum_people": Count("user", distinct=True, filter=Q(requests__gt=0))}


def _line(row: Mapping[str, Any]) -> Line:
    counts = [row[f"sum_{name}"] for name in FIRST_TOKEN_COLUMNS]
    return Line(
        people=row["sum_people"],
        first_token_p50=percentile(counts, 0.5),
        first_token_p95=percentile(counts, 0.95),
        **{name: row[f"sum_{name}"] for name in SUMMED_COLUMNS},
    )


def percentile(counts: list[int], share: float) -> int | None:
    """Interpolated within the bucket that holds it; `counts` as in `FIRST_TOKEN_COLUMNS`."""
    sums = list(accumulate(counts))
    if not sums[-1]:
        return None
    rank = share * sums[-1]
    place = next(number for number, running in enumerate(sums) if running >= rank and counts[number])
    if place == len(FIRST_TOKEN_BOUNDS_MS):
        return FIRST_TOKEN_BOUNDS_MS[-1]
    lower = FIRST_TOKEN_BOUNDS_MS[place - 1] if place else 0
    inside = (rank - (sums[place] - counts[place])) / counts[place]
    return round(lower + inside * (FIRST_TOKEN_BOUNDS_MS[place] - lower))


def _label(dimension: Dimension, value: Any) -> str:
    if value is None:
        return _("(removed accounts)") if dimension == "user" else _("(no group)")
    return str(value)


def _sorted(lines: list[Line], order: str) -> list[Line]:
    name = order.removeprefix("-")
    if name not in ORDERS:
        raise errors.InvalidInput(_("Unknown order."))
    lines.sort(key=lambda line: (line.label.casefold(), line.key))
    worth = {None: -1}
    lines.sort(key=lambda line: worth.get(getattr(line, name), getattr(line, name)), reverse=order.startswith("-"))
    return lines
