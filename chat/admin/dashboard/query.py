"""The query parameters of the dashboard: which days, grouped by what, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from chat import errors
from chat.usage.reports import DIMENSIONS, DateRange, Dimension

DAY_CHOICES = (1, 7, 30, 90)
DEFAULT_DAYS = 30
MAX_DAYS = 366
REFRESH_SECONDS = 60

DIMENSION_LABELS: Mapping[Dimension, str | Promise] = {
    "user": lazy("Person"),
    "group": lazy("Group"),
    "model": lazy("Model"),
    "day": lazy("Day"),
}
COLUMN_LABELS: Mapping[str, str | Promise] = {
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


@dataclass(frozen=True, kw_only=True)
class DashboardQuery:
    """`days` is one of `DAY_CHOICES`, or 0 where the range has its own first and last day."""

    date_range: DateRange
    days: int
    by: Dimension
    order: str
    refresh: bool

    def url(self, **changes: str) -> str:
        """A relative URL with the same parameters, some of them changed; an empty one is left out."""
        parameters = {"days": str(self.days)} if self.days else self.dates()
        parameters |= {"by": self.by, "order": self.order, "every": str(REFRESH_SECONDS) if self.refresh else ""}
        query = QueryDict(mutable=True)
        query.update({name: value for name, value in (parameters | changes).items() if value})
        return "?" + query.urlencode()

    def dates(self) -> dict[str, str]:
        """The first and the last day, as the form of the page names them."""
        return {"since": str(self.date_range.first), "until": str(self.date_range.last)}


def parse_query(request: HttpRequest) -> DashboardQuery:
    """Read the query parameters. Invalid ones are ignored; an invalid range also adds a message to the page."""
    parameters = request.GET
    by: Dimension = next((dimension for dimension in DIMENSIONS if dimension == parameters.get("by")), "user")
    order = parameters.get("order", "")
    if order.removeprefix("-") not in COLUMN_LABELS:
        order = "-label" if by == "day" else "-cost"
    days = next((days for days in DAY_CHOICES if str(days) == parameters.get("days")), 0)
    date_range = None if days else _parse_range(request)
    if date_range is None:
        days = days or DEFAULT_DAYS
        date_range = DateRange.last_days(days)
    return DashboardQuery(date_range=date_range, days=days, by=by, order=order, refresh="every" in parameters)


def _parse_range(request: HttpRequest) -> DateRange | None:
    """The range of the form, or None where there is none or it is invalid."""
    since, until = request.GET.get("since", ""), request.GET.get("until", "")
    if not since and not until:
        return None
    try:
        date_range = DateRange.parse(since, until)
        if date_range.length > MAX_DAYS:
            raise errors.InvalidInput(_("Choose at most %(days)d days.") % {"days": MAX_DAYS})
    except errors.InvalidInput as error:
        messages.error(request, error.message)
        return None
    return date_range
