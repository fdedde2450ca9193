"""The filters of the usage ledger."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from chat.models import FAILED_STATUSES, RUNNING_STATUSES, ChatModel, Status, UsageRecord, User, site_day


class DaysFilter(admin.DateFieldListFilter):
    """The ranges of the dashboard, and a link for the current range where it is another one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        today = site_day()
        ranges = {1: _("Today"), 7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
        links: list[tuple[Any, dict[str, Any]]] = [(_("Any day"), {})]
        links += [
            (label, self._parameters(today - dt.timedelta(days=days - 1), today)) for days, label in ranges.items()
        ]
        current = {name: values[-1] for name, values in self.date_params.items()}
        if current and current not in [parameters for _label, parameters in links]:
            links.append((self._label(current), current))
        self.links = tuple(links)

    def _parameters(self, first: dt.date, last: dt.date) -> dict[str, str]:
        return {self.lookup_kwarg_since: str(first), self.lookup_kwarg_until: str(last + dt.timedelta(days=1))}

    def _label(self, parameters: dict[str, str]) -> str:
        try:
            first = dt.date.fromisoformat(parameters[self.lookup_kwarg_since])
            last = dt.date.fromisoformat(parameters[self.lookup_kwarg_until]) - dt.timedelta(days=1)
        except (KeyError, ValueError):
            return _("Other days")
        return date_format(first) if first == last else f"{date_format(first)} – {date_format(last)}"


class ModelFilter(admin.SimpleListFilter):
    """The models of the catalogue: the names in use would have to be read from the whole ledger."""

    title = lazy("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = list(ChatModel.objects.order_by("name").values_list("name", flat=True))
        if (chosen := self.value()) and chosen not in names:
            names.append(chosen)
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class EndedFilter(admin.SimpleListFilter):
    """By status; `broken` selects failed and interrupted answers, as the dashboard counts them."""

    title = lazy("status")
    parameter_name = "ended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        final = [(status.value, status.label) for status in Status if status not in RUNNING_STATUSES]
        return [*final, ("broken", _("Failed or interrupted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(status__in=FAILED_STATUSES if chosen == "broken" else (chosen,))


class LinkedFilter(admin.SimpleListFilter):
    """Offers no choices of its own: other pages link to one value, as a list of all users would be too long."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = self.value()
        return [(chosen, self.label(chosen))] if chosen else []

    def label(self, chosen: str) -> str:
        return chosen

    def key(self) -> int | None:
        """The id to filter by; None, which selects rows without one, for `none` and for anything invalid."""
        chosen = self.value() or ""
        return int(chosen) if chosen.isdecimal() and len(chosen) < 19 else None


class PersonFilter(LinkedFilter):
    title = lazy("person")
    parameter_name = "person"

    def label(self, chosen: str) -> str:
        found = User.objects.filter(pk=self.key() or 0).values_list("username", flat=True).first()
        return found or _("(removed accounts)")

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(user=self.key()) if self.value() else queryset


class GroupFilter(LinkedFilter):
    title = lazy("group")
    parameter_name = "group"

    def label(self, chosen: str) -> str:
        return Group.objects.filter(pk=self.key() or 0).values_list("name", flat=True).first() or _("(no group)")

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        if not self.value():
            return queryset
        people = User.objects.filter(groups=self.key())
        if self.key() is None:
            return queryset.filter(Q(user=None) | Q(user__in=people))
        return queryset.filter(user__in=people)


class ReasonFilter(LinkedFilter):
    title = lazy("reason")
    parameter_name = "reason"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(reason=self.value()) if self.value() else queryset
