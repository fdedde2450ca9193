"""Daily totals of the usage ledger."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.infra.prepared_queries import Parameter, PreparedUpdate

if TYPE_CHECKING:
    from chat.models.usage_records import UsageRecord

FIRST_TOKEN_BOUNDS_MS: tuple[int, ...] = (100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 30_000)
FIRST_TOKEN_COLUMNS: tuple[str, ...] = (
    *(f"first_token_to_{bound}" for bound in FIRST_TOKEN_BOUNDS_MS),
    "first_token_later",
)
SUMMED_COLUMNS: tuple[str, ...] = (
    "requests",
    "failed",
    "stopped",
    "refusals",
    "estimated",
    "unpriced",
    "prompt_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "completion_tokens",
    "cost",
)
TOTAL_COLUMNS = (*SUMMED_COLUMNS, *FIRST_TOKEN_COLUMNS)
FAILED_STATUSES = ("failed", "interrupted")


def site_day(moment: dt.datetime | None = None) -> dt.date:
    """The date in the site's time zone, by default today's."""
    return timezone.localdate(moment)


class FirstTokenColumns(models.Model):
    """A histogram of the time to the first token in milliseconds; each upper bound belongs to its column.

    Separate columns, so that the database can sum them.
    """

    first_token_to_100 = models.PositiveIntegerField(default=0)
    first_token_to_200 = models.PositiveIntegerField(default=0)
    first_token_to_300 = models.PositiveIntegerField(default=0)
    first_token_to_500 = models.PositiveIntegerField(default=0)
    first_token_to_750 = models.PositiveIntegerField(default=0)
    first_token_to_1000 = models.PositiveIntegerField(default=0)
    first_token_to_1500 = models.PositiveIntegerField(default=0)
    first_token_to_2000 = models.PositiveIntegerField(default=0)
    first_token_to_3000 = models.PositiveIntegerField(default=0)
    first_token_to_5000 = models.PositiveIntegerField(default=0)
    first_token_to_10000 = models.PositiveIntegerField(default=0)
    first_token_to_30000 = models.PositiveIntegerField(default=0)
    first_token_later = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True


def first_token_column(milliseconds: int) -> str:
    """The column of the histogram that counts this time."""
    return FIRST_TOKEN_COLUMNS[bisect_left(FIRST_TOKEN_BOUNDS_MS, milliseconds)]


def _increase_row() -> tuple[models.QuerySet[DailyUsage], dict[str, Any]]:
    """Add to every column of one row. The parameter of a column has the column's name."""
    row = DailyUsage.objects.filter(
        user_id=Parameter("of_user", models.IntegerField()),
        model=Parameter("of_model", models.CharField()),
        day=Parameter("of_day", models.DateField()),
    )
    return row, {name: models.F(name) + Parameter(name, models.BigIntegerField()) for name in TOTAL_COLUMNS}


_INCREASE_ROW = PreparedUpdate(_increase_row)


class DailyUsageQuerySet(models.QuerySet["DailyUsage"]):
    def add_record(self, record: UsageRecord) -> None:
        """Add a ledger row to the totals of its day. Must run in a transaction."""
        self._increase(record.user_id, record.model, record.day, usage_amounts(record))

    def add_refusal(self, user_id: int, model: str) -> None:
        """Count a request that a limit refused."""
        with transaction.atomic():
            self._increase(user_id, model, site_day(), {"refusals": 1})

    def _increase(self, user_id: int | None, model: str, day: dt.date, amounts: Mapping[str, int]) -> None:
        """Increase the row in the database, so that concurrent additions are not lost; create it if needed."""
        if user_id is None:
            increase = partial(self._increase_row_without_user, model, day, amounts)
        else:
            added = {name: amounts.get(name, 0) for name in TOTAL_COLUMNS}
            increase = partial(_INCREASE_ROW, of_user=user_id, of_model=model, of_day=day, **added)
        if increase():
            return
        try:
            with transaction.atomic():
                self.create(user_id=user_id, model=model, day=day, **amounts)
        except IntegrityError:  # another process created the row meanwhile
            increase()

    def _increase_row_without_user(self, model: str, day: dt.date, amounts: Mapping[str, int]) -> int:
        """Increase one row only: removed users may have left several for the same model and day."""
        rows = self.filter(user=None, model=model, day=day).order_by("pk").values_list("pk", flat=True)
        row_id = rows.first()
        if row_id is None:
            return 0
        return self.filter(pk=row_id).update(**{name: models.F(name) + n for name, n in amounts.items() if n})


def usage_amounts(record: UsageRecord) -> dict[str, int]:
    """What a ledger row adds to each column of the daily totals."""
    amounts = {
        "requests": 1,
        "failed": int(record.status in FAILED_STATUSES),
        "stopped": int(record.status == "stopped"),
        "estimated": int(not record.exact),
        "unpriced": int(record.cost is None),
        "prompt_tokens": record.prompt_tokens,
        "cached_tokens": record.cached_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "completion_tokens": record.completion_tokens,
        "cost": record.cost or 0,
    }
    if record.first_token_ms is not None:
        amounts[first_token_column(record.first_token_ms)] = 1
    return amounts


class DailyUsage(FirstTokenColumns):
    """Totals of one user, model and day in the site's time zone. `cost` is in micro-dollars.

    Rows of removed users have no user, and there may be several for a model and day. `failed` includes
    interrupted answers; `unpriced` counts answers without a known price. `refusals` are recorded only here,
    because a refused request has no ledger row.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="daily_usage",
        verbose_name=_("user"),
    )
    model = models.CharField(_("model"), max_length=128)
    day = models.DateField(_("day"), db_index=True)
    requests = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    stopped = models.PositiveIntegerField(default=0)
    refusals = models.PositiveIntegerField(default=0)
    estimated = models.PositiveIntegerField(default=0)
    unpriced = models.PositiveIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost = models.PositiveBigIntegerField(default=0)

    objects = DailyUsageQuerySet.as_manager()

    class Meta:
        verbose_name = _("daily usage")
        verbose_name_plural = _("daily usage")
        constraints = (models.UniqueConstraint(fields=("user", "model", "day"), name="daily_user_model_day"),)
        indexes = (models.Index(fields=("day", "user"), name="daily_day_user"),)

    def __str__(self) -> str:
        return f"{self.day} {self.model}"
