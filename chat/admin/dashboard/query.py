"""What the address of the dashboard asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from chat import errors
from chat.usage.reports import Dimension, Span

RANGES = (1, 7, 30, 90)
LONGEST = 366
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


def wish_of(request: HttpRequest) -> Wish:
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
