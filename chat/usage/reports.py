"""Sums of the daily totals, for the usage page, the admin's dashboard and `manage.py usage`.

Everything is read from `DailyUsage`, so that the time does not grow with the ledger.
Costs are micro-dollars, times milliseconds, and days those of the site's time zone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
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
MAX_DAYS = 3_660

_KEY_AND_LABEL: Mapping[str, tuple[str, str]] = {
    "user": ("user_id", "user__username"),
    "model": ("model", "model"),
    "day": ("day", "day"),
    "group": ("user__groups__pk", "user__groups__name"),
}


@dataclass(frozen=True, kw_only=True)
class DateRange:
    """Days of the site's time zone, from `first` to `last`, both included."""

    first: dt.date
    last: dt.date

    @classmethod
    def last_days(cls, days: int) -> DateRange:
        """So many days up to today, which is included."""
        last = site_day()
        return cls(first=last - dt.timedelta(days=days - 1), last=last)

    @classmethod
    def parse(cls, since: str = "", until: str = "", *, days: int = 30) -> DateRange:
        """Read two dates such as `2026-03-31`; `since` may also be a number of days such as `7d`.

        `until` is today by default, `since` the first of `days` days. Raises `InvalidInput`.
        """
        last = _parse_date(until) if until else site_day()
        if number := re.fullmatch(r"([0-9]{1,4})d", since.strip()):
            days, since = int(number[1]), ""
        if not since and not 1 <= days <= MAX_DAYS:
            raise errors.InvalidInput(_("Choose between 1 and %(max)s days.") % {"max": MAX_DAYS})
        try:
            first = _parse_date(since) if since else last - dt.timedelta(days=days - 1)
        except OverflowError:
            raise errors.InvalidInput(_("This is not a date.")) from None
        if first > last:
            raise errors.InvalidInput(_("The first day is after the last."))
        if (last - first).days >= MAX_DAYS:
            raise errors.InvalidInput(_("Choose between 1 and %(max)s days.") % {"max": MAX_DAYS})
        return cls(first=first, last=last)

    @property
    def length(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[dt.date]:
        return (self.first + dt.timedelta(days=number) for number in range(self.length))


def _parse_date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007  a date has no zone
    except ValueError:
        raise errors.InvalidInput(_("A date looks like 2026-03-31.")) from None


@dataclass(frozen=True, kw_only=True)
class UsageLine:
    """The sums of some daily totals.

    `key` identifies a line (a user or group id, a model's name, a day) and is empty for removed accounts and for
    people without a group. `people` counts the existing accounts with at least one answer. `failed` includes
    interrupted answers. `estimated` counts answers whose tokens were estimated, `unpriced` those without a known
    price. A percentile is None where nothing was measured, and at most the last of `FIRST_TOKEN_BOUNDS_MS`.
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


ORDERS: tuple[str, ...] = (*(field.name for field in fields(UsageLine)), "tokens")


def total(date_range: DateRange, *, user: User | None = None) -> UsageLine:
    """The usage of all days together, of everyone or of one user. One query."""
    return _line(_daily_totals(date_range, user).aggregate(**_sums()))


def by(dimension: Dimension, date_range: DateRange, *, user: User | None = None, order: str = "") -> list[UsageLine]:
    """A line for each user, model, day or group with an answer or a refusal. At most two queries.

    People in several groups count in each, so the lines of groups may add up to more than `total`; people
    without a group share a line. `order` is a field of `UsageLine`, with a minus for descending; the default is
    by day, or else by cost, the highest first. Raises `InvalidInput` for another order.
    """
    key, label = _KEY_AND_LABEL[dimension]
    rows = _daily_totals(date_range, user).order_by().values(key, label).annotate(**_sums())
    labels = {model.name: str(model) for model in ChatModel.objects.exclude(label="")} if dimension == "model" else {}
    lines = []
    for row in rows:
        name = "" if row[key] is None else str(row[key])
        lines.append(replace(_line(row), key=name, label=labels.get(name) or _label(dimension, row[label])))
    return _sorted(lines, order or ("key" if dimension == "day" else "-cost"))


def by_day(date_range: DateRange, *, user: User | None = None) -> list[UsageLine]:
    """A line for every day of the range, also for days without usage. One query."""
    return every_day(date_range, by("day", date_range, user=user))


def every_day(date_range: DateRange, lines: list[UsageLine]) -> list[UsageLine]:
    """The lines of `by("day", …)` in the order of days, with an empty line for each missing day."""
    found = {line.key: line for line in lines}
    return [found.get(str(day)) or UsageLine(key=str(day), label=str(day)) for day in date_range]


def _daily_totals(date_range: DateRange, user: User | None) -> DailyUsageQuerySet:
    rows = DailyUsage.objects.filter(day__range=(date_range.first, date_range.last))
    return rows.filter(user=user) if user is not None else rows


def _sums() -> dict[str, Any]:
    sums: dict[str, Any] = {f"sum_{name}": Sum(name, default=0) for name in (*SUMMED_COLUMNS, *FIRST_TOKEN_COLUMNS)}
    return sums | {"sum_people": Count("user", distinct=True, filter=Q(requests__gt=0))}


def _line(row: Mapping[str, Any]) -> UsageLine:
    counts = [row[f"sum_{name}"] for name in FIRST_TOKEN_COLUMNS]
    return UsageLine(
        people=row["sum_people"],
        first_token_p50=percentile(counts, 0.5),
        first_token_p95=percentile(counts, 0.95),
        **{name: row[f"sum_{name}"] for name in SUMMED_COLUMNS},
    )


def percentile(counts: list[int], share: float) -> int | None:
    """Milliseconds below which `share` (0 to 1) of the answers lie, interpolated within a bucket.

    `counts` are in the order of `FIRST_TOKEN_COLUMNS`. None where all are 0.
    """
    running_sums = list(accumulate(counts))
    if not running_sums[-1]:
        return None
    rank = share * running_sums[-1]
    bucket = next(index for index, running in enumerate(running_sums) if running >= rank and counts[index])
    if bucket == len(FIRST_TOKEN_BOUNDS_MS):
        return FIRST_TOKEN_BOUNDS_MS[-1]
    lower = FIRST_TOKEN_BOUNDS_MS[bucket - 1] if bucket else 0
    position = (rank - (running_sums[bucket] - counts[bucket])) / counts[bucket]
    return round(lower + position * (FIRST_TOKEN_BOUNDS_MS[bucket] - lower))


def _label(dimension: Dimension, value: Any) -> str:
    if value is None:
        return _("(removed accounts)") if dimension == "user" else _("(no group)")
    return str(value)


def _sorted(lines: list[UsageLine], order: str) -> list[UsageLine]:
    """Sort by the field; equal values by label, and None below every number."""
    name = order.removeprefix("-")
    if name not in ORDERS:
        raise errors.InvalidInput(_("Unknown order."))

    def value(line: UsageLine) -> Any:
        found = getattr(line, name)
        return -1 if found is None else found

    lines.sort(key=lambda line: (line.label.casefold(), line.key))
    lines.sort(key=value, reverse=order.startswith("-"))
    return lines
