"""The roll-up of the ledger."""

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
COLUMNS = (*SUMMED_COLUMNS, *FIRST_TOKEN_COLUMNS)
FAILED_STATUSES = ("failed", "interrupted")


def site_day(moment: dt.datetime | None = None) -> dt.date:
    """The day in the site's time zone."""
    return timezone.localdate(moment)


class FirstTokenColumns(models.Model):
    """Answers by milliseconds to their first token, each column up to and including its bound.

    Columns, and not a list in one, so that the database can add them up.
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
    return FIRST_TOKEN_COLUMNS[bisect_left(FIRST_TOKEN_BOUNDS_MS, milliseconds)]


def _adding() -> tuple[models.QuerySet[DailyUsage], dict[str, Any]]:
    """One row and what is added to each column of it: amounts go by the name of their column."""
    row = DailyUsage.objects.filter(
        user_id=Parameter("of_user", models.IntegerField()),
        model=Parameter("of_model", models.CharField()),
        day=Parameter("of_day", models.DateField()),
    )
    return row, {name: models.F(name) + Parameter(name, models.BigIntegerField()) for name in COLUMNS}


_ADD = PreparedUpdate(_adding)


class DailyUsageQuerySet(models.QuerySet["DailyUsage"]):
    def add_record(self, record: UsageRecord) -> None:
        """Adds one ledger row to the roll-up of its day. Needs a transaction."""
        self._increase(record.user_id, record.model, record.day, usage_amounts(record))

    def add_refusal(self, user_id: int, model: str) -> None:
        with transaction.atomic():
            self._increase(user_id, model, site_day(), {"refusals": 1})

    def _increase(self, user_id: int | None, model: str, day: dt.date, amounts: Mapping[str, int]) -> None:
        """The database adds, so that nobody's addition is lost."""
        if user_id is None:
            add = partial(self._increase_one, model, day, amounts)
        else:
            more = {name: amounts.get(name, 0) for name in COLUMNS}
            add = partial(_ADD, of_user=user_id, of_model=model, of_day=day, **more)
        if add():
            return
        try:
            with transaction.atomic():
                self.create(user_id=user_id, model=model, day=day, **amounts)
        except IntegrityError:
            add()

    def _increase_one(self, model: str, day: dt.date, amounts: Mapping[str, int]) -> int:
        """Rows of removed people may be several, and must not all grow."""
        rows = self.filter(user_id=None, model=model, day=day).order_by("pk").values_list("pk", flat=True)
        more = {name: models.F(name) + amount for name, amount in amounts.items() if amount}
        return self.filter(pk=rows.first()).update(**more)


def usage_amounts(record: UsageRecord) -> dict[str, int]:
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
    """One row per person, model and day of the site's time zone; people who were removed have several.

    `failed` counts interrupted answers too, `unpriced` those without a known price.
    Refusals are known here alone: what was refused never reached the ledger.
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
