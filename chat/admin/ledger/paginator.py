"""Pages of the usage ledger, with sums over all of them."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page
from django.db.models import Count, Sum
from django.utils.functional import cached_property

from chat.admin.generic import Paginator
from chat.infra import formatting
from chat.models import UsageRecord


class SummingPaginator(Paginator):
    """Counts the rows and sums their columns in one query."""

    @cached_property
    def sums(self) -> dict[str, int]:
        """Over all rows that match; the cost is in micro-dollars."""
        rows: Any = self.object_list
        sums: dict[str, int] = rows.order_by().aggregate(
            rows=Count("pk"),
            prompt_tokens=Sum("prompt_tokens", default=0),
            completion_tokens=Sum("completion_tokens", default=0),
            cost=Sum("cost", default=0),
        )
        return sums

    @cached_property
    def count(self) -> int:
        return self.sums["rows"]

    def page(self, number: Any) -> Page[UsageRecord]:
        """Select the ids of the page first: an offset into an index is fast, one into the table is not."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows: Any = self.object_list
        keys = list(rows.values_list("pk", flat=True)[first : first + self.per_page])
        return Page(rows.filter(pk__in=keys), number, self)

    def formatted_sums(self) -> dict[str, str]:
        sums = self.sums
        return {
            "rows": formatting.number(sums["rows"]),
            "prompt_tokens": formatting.number(sums["prompt_tokens"]),
            "completion_tokens": formatting.number(sums["completion_tokens"]),
            "cost": formatting.dollars(sums["cost"]),
        }
