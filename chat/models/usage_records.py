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

MESSAGE_FIELDS = (
    "status error_code content reasoning retry_at prompt_tokens completion_tokens first_token_at finished_at owner"
)
"""The columns that say how an answer ended."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one generation ended. Amounts are micro-dollars; `cost` None is an unknown price."""

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
        own = {"error_code": self.reason, "finished_at": timezone.now(), "owner": None}
        return own | {name: getattr(self, name) for name in MESSAGE_FIELDS.split() if name not in own}

    def record_fields(self) -> dict[str, Any]:
        names = (
            "conversation_id user_id model status reason prompt_tokens cached_tokens reasoning_tokens "
            "completion_tokens reserved_tokens reserved_cost cost exact first_token_ms duration_ms upstream_request_id"
        )
        return {name: getattr(self, name) for name in names.split()}


class LedgerImmutable(TypeError):
    """Something tried to write to the ledger by another way than `record`."""


_PERSON = PreparedQuery(
    lambda: get_user_model().objects.filter(pk=Parameter("pk", models.IntegerField())).values_list("pk")
)


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    """Reads, and `record`; nothing changes or removes a row."""

    def record(self, outcome: Outcome) -> bool:
        """Writes the generation's one row and its roll-up; False if the row was there. Needs a transaction."""
        now = timezone.now()
        user_exists = _PERSON.one(pk=outcome.user_id)
        fields = outcome.record_fields() | {"created_at": now, "day": site_day(now)}
        if not user_exists:
            fields["user_id"] = None
        record = self.model(message_id=outcome.message_id, **fields)
        if not _BOOK(record):
            if self.filter(message_id=outcome.message_id).exists():
                return False
            raise IntegrityError(f"The database did not take the ledger row of {outcome.message_id}.")
        DailyUsage.objects.add_record(record)
        return True

    def anonymize(self, user_id: int) -> int:
        """Takes a person out of their rows, as removing their account does; the amounts stay."""
        return models.QuerySet.update(self.filter(user_id=user_id), user=None)

    def update(self, **kwargs: Any) -> int:
        raise LedgerImmutable("Ledger rows are never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise LedgerImmutable("Ledger rows are never deleted.")


class UsageRecord(models.Model):
    """One generation's line in the books. Holds no text and outlives what it describes.

    Amounts are micro-dollars; `cost` is null where no price was known. A row says what was
    decided at the time and stays as it is: a wrong price is put right by a `ModelPrice` from
    a later date on, an allowance used up wrongly is given back by resetting the limit. Only
    the reference to a person is cleared when their account is removed.
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
        raise LedgerImmutable("Ledger rows are written by `record` alone.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise LedgerImmutable("Ledger rows are never deleted.")

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


_BOOK = PreparedInsert(UsageRecord, ignore_conflicts=True)
