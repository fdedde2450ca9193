"""The usage ledger."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.infra.prepared_queries import Parameter, PreparedInsert, PreparedQuery
from chat.models.daily_usage import DailyUsage, site_day

MESSAGE_FIELDS: tuple[str, ...] = (
    "status",
    "error_code",
    "content",
    "reasoning",
    "retry_at",
    "prompt_tokens",
    "completion_tokens",
    "first_token_at",
    "finished_at",
    "owner",
)
"""The columns of a message that its end sets."""

RECORD_FIELDS: tuple[str, ...] = (
    "conversation_id",
    "user_id",
    "model",
    "status",
    "reason",
    "prompt_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "completion_tokens",
    "reserved_tokens",
    "reserved_cost",
    "cost",
    "exact",
    "first_token_ms",
    "duration_ms",
    "upstream_request_id",
)
"""The columns of a ledger row that come from an `Outcome` under the same name."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one generation ended. Costs are in micro-dollars; `cost` is None if the price is unknown.

    `reason` is an error code. `exact` is False if the provider did not report its token counts.
    """

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    user_id: int
    model: str
    status: str
    reason: str = ""
    content: str = ""
    reasoning: str = ""
    retry_at: dt.datetime | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    completion_tokens: int = 0
    reserved_tokens: int = 0
    reserved_cost: int = 0
    cost: int | None = 0
    exact: bool = True
    first_token_at: dt.datetime | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    upstream_request_id: str = ""

    def message_fields(self) -> dict[str, Any]:
        """Values for `MESSAGE_FIELDS`; the message ends now."""
        derived = {"error_code": self.reason, "finished_at": timezone.now(), "owner": None}
        return derived | {name: getattr(self, name) for name in MESSAGE_FIELDS if name not in derived}

    def record_fields(self) -> dict[str, Any]:
        """Values for `RECORD_FIELDS`."""
        return {name: getattr(self, name) for name in RECORD_FIELDS}


class LedgerImmutable(TypeError):
    """Code tried to change the usage ledger other than through `record` or `anonymize`."""


_USER_ID = PreparedQuery(
    lambda: get_user_model().objects.filter(pk=Parameter("pk", models.IntegerField())).values_list("pk")
)


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    """Rows can be added (`record`) and read, but not changed or deleted."""

    def record(self, outcome: Outcome) -> bool:
        """Add the row of a generation and add it to the daily totals. Must run in a transaction.

        Returns False if the generation has a row already. Raises `IntegrityError` if the values are invalid.
        """
        now = timezone.now()
        user_exists = _USER_ID.one(pk=outcome.user_id)
        fields = outcome.record_fields() | {"created_at": now, "day": site_day(now)}
        if not user_exists:
            fields["user_id"] = None
        record = self.model(message_id=outcome.message_id, **fields)
        if not _INSERT_RECORD(record):
            if self.filter(message_id=outcome.message_id).exists():
                return False
            raise IntegrityError(f"The database rejected the ledger row of {outcome.message_id}.")
        DailyUsage.objects.add_record(record)
        return True

    def anonymize(self, user_id: int) -> int:
        """Clear the user of their rows, as deleting the account does. Returns the number of rows."""
        return models.QuerySet.update(self.filter(user_id=user_id), user=None)

    def update(self, **kwargs: Any) -> int:
        raise LedgerImmutable("Ledger rows are never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise LedgerImmutable("Ledger rows are never deleted.")


class UsageRecord(models.Model):
    """One generation in the usage ledger. Holds no text, and stays when its message is deleted.

    Costs are in micro-dollars; `cost` is null if no price was known. A row is never changed: correct a wrong
    price with a new `ModelPrice`, and give a wrongly used limit back by resetting it. Only the user is cleared
    when the account is removed.
    """

    message_id = models.UUIDField(unique=True, editable=False)
    conversation_id = models.UUIDField(db_index=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="usage_records",
        verbose_name=_("user"),
    )
    model = models.CharField(_("model"), max_length=128)
    status = models.CharField(_("status"), max_length=16)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"), default=0)
    cached_tokens = models.PositiveBigIntegerField(_("cached tokens"), default=0)
    reasoning_tokens = models.PositiveBigIntegerField(_("reasoning tokens"), default=0)
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"), default=0)
    reserved_tokens = models.PositiveBigIntegerField(_("reserved tokens"), default=0)
    reserved_cost = models.PositiveBigIntegerField(_("reserved cost"), default=0)
    cost = models.PositiveBigIntegerField(_("cost (micro-dollars)"), null=True)
    exact = models.BooleanField(_("exact"), default=True)
    first_token_ms = models.PositiveIntegerField(_("first token (ms)"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)
    upstream_request_id = models.CharField(_("provider's request id"), max_length=128, blank=True)
    created_at = models.DateTimeField(_("time"), default=timezone.now)
    day = models.DateField(_("day"))

    objects = UsageRecordQuerySet.as_manager()

    class Meta:
        verbose_name = _("usage record")
        verbose_name_plural = _("usage ledger")
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=("-created_at",), name="usage_created"),
            models.Index(fields=("user", "day"), name="usage_user_day"),
            models.Index(fields=("day",), name="usage_day"),
        )

    def __str__(self) -> str:
        return str(self.message_id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise LedgerImmutable("Ledger rows are only written by `record`.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise LedgerImmutable("Ledger rows are never deleted.")

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens. Cached and reasoning tokens are parts of these."""
        return self.prompt_tokens + self.completion_tokens


_INSERT_RECORD = PreparedInsert(UsageRecord, ignore_conflicts=True)
