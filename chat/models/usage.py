"""What models cost, and who used what."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError, models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.infra.prepared_queries import Parameter, PreparedInsert, PreparedQuery
from chat.models.daily import DailyUsage, site_day


def _allowed() -> models.QuerySet[ChatModel]:
    own = Group.objects.filter(user=Parameter("user", models.IntegerField()))
    mine = Q(groups=None) | Q(groups__in=own)
    return ChatModel.objects.filter(Q(enabled=True) & mine | Q(name=Parameter("name", models.CharField()))).distinct()


_ALLOWED = PreparedQuery(_allowed)


class ChatModelQuerySet(models.QuerySet["ChatModel"]):
    def allowed_to(self, user) -> list[ChatModel]:
        """Enabled models that name no group, or one of the person's; the site's own (`CHAT_MODEL`) always."""
        return _ALLOWED(user=user.pk, name=settings.CHAT_MODEL)

    def without_price(self, moment: dt.datetime) -> ChatModelQuerySet:
        """Models in use that have no price of their own at a moment."""
        priced = ModelPrice.objects.filter(valid_from__lte=moment).values("model")
        return self.filter(Q(enabled=True) | Q(name=settings.CHAT_MODEL)).exclude(pk__in=priced)


class ChatModel(models.Model):
    """A model people may pick. `name` is what the provider calls it."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    label = models.CharField(_("label"), max_length=128, blank=True)
    context_window = models.PositiveIntegerField(_("context window (tokens)"), null=True, blank=True)
    max_output = models.PositiveIntegerField(_("output cap (tokens)"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    is_default = models.BooleanField(_("default"), default=False)
    groups: models.ManyToManyField[Group, ChatModel] = models.ManyToManyField(
        Group, blank=True, related_name="chat_models", verbose_name=_("only for groups")
    )

    objects = ChatModelQuerySet.as_manager()

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_default",), condition=models.Q(is_default=True), name="model_one_default"
            ),
        )

    def __str__(self) -> str:
        return self.label or self.name


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    def valid_at(self, moment: dt.datetime) -> ModelPriceQuerySet:
        """The one price of each model at a moment, of those that have one."""
        own = self.model.objects.filter(model=OuterRef("model"), valid_from__lte=moment)
        return self.filter(pk=Subquery(own.order_by("-valid_from").values("pk")[:1]))

    def at(self, model: str, moment: dt.datetime) -> ModelPrice | None:
        """The price of a model at a moment; unknown counts as the dearest that holds then, None where none does.

        The dearest is the one with the highest price for completions, then for prompts.
        """
        if own := _OWN_PRICE.one(model=model, moment=moment):
            return own
        return self.valid_at(moment).order_by("-completion", "-prompt", "pk").first()


_OWN_PRICE = PreparedQuery(
    lambda: ModelPrice.objects.filter(
        model__name=Parameter("model", models.CharField()), valid_from__lte=Parameter("moment", models.DateTimeField())
    ).order_by("-valid_from")[:1]
)


class ModelPrice(models.Model):
    """Micro-dollars per million tokens, from a date on. 0 is free; no row is unknown.

    `cached` null means that cached prompt tokens cost as much as others.
    """

    model = models.ForeignKey(ChatModel, on_delete=models.CASCADE, related_name="prices", verbose_name=_("model"))
    valid_from = models.DateTimeField(_("valid from"), default=timezone.now)
    prompt = models.PositiveBigIntegerField(_("prompt"))
    cached = models.PositiveBigIntegerField(_("cached prompt"), null=True, blank=True)
    completion = models.PositiveBigIntegerField(_("completion"))

    objects = ModelPriceQuerySet.as_manager()

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ("model", "-valid_from")
        constraints = (models.UniqueConstraint(fields=("model", "valid_from"), name="price_model_from"),)

    def __str__(self) -> str:
        return f"{self.prompt / 1e6:g} / {self.completion / 1e6:g} USD per million"

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """Micro-dollars, rounded up: a fraction is never given away."""
        cached_price = self.prompt if self.cached is None else self.cached
        fresh = prompt_tokens - cached_tokens
        total = fresh * self.prompt + cached_tokens * cached_price + completion_tokens * self.completion
        return -(-total // 1_000_000)


OF_MESSAGE = (
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
        return own | {name: getattr(self, name) for name in OF_MESSAGE.split() if name not in own}

    def record_fields(self) -> dict[str, Any]:
        names = (
            "conversation_id user_id model status reason prompt_tokens cached_tokens reasoning_tokens "
            "completion_tokens reserved_tokens reserved_cost cost exact first_token_ms duration_ms upstream_request_id"
        )
        return {name: getattr(self, name) for name in names.split()}


class LedgerClosed(TypeError):
    """Something tried to write to the ledger by another way than `book`."""


_PERSON = PreparedQuery(
    lambda: get_user_model().objects.filter(pk=Parameter("pk", models.IntegerField())).values_list("pk")
)


class UsageRecordQuerySet(models.QuerySet["UsageRecord"]):
    """Reads, and `book`; nothing changes or removes a row."""

    def book(self, outcome: Outcome) -> bool:
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
        DailyUsage.objects.add(record)
        return True

    def forget(self, user_id: int) -> int:
        """Takes a person out of their rows, as removing their account does; the amounts stay."""
        return models.QuerySet.update(self.filter(user_id=user_id), user=None)

    def update(self, **kwargs: Any) -> int:
        raise LedgerClosed("Ledger rows are never changed.")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise LedgerClosed("Ledger rows are never deleted.")


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
        raise LedgerClosed("Ledger rows are written by `book` alone.")

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise LedgerClosed("Ledger rows are never deleted.")

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


_BOOK = PreparedInsert(UsageRecord, ignore_conflicts=True)
