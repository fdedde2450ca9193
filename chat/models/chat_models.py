"""Models and their prices."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.infra.prepared_queries import Parameter, PreparedQuery


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

    def get_effective(self, model: str, moment: dt.datetime) -> ModelPrice | None:
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
