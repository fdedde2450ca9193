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
from chat.models.users import User


def _allowed_models() -> models.QuerySet[ChatModel]:
    groups_of_user = Group.objects.filter(user=Parameter("user", models.IntegerField()))
    open_to_user = Q(groups=None) | Q(groups__in=groups_of_user)
    site_default = Q(name=Parameter("name", models.CharField()))
    return ChatModel.objects.filter(Q(enabled=True) & open_to_user | site_default).distinct()


_ALLOWED_MODELS = PreparedQuery(_allowed_models)


class ChatModelQuerySet(models.QuerySet["ChatModel"]):
    def allowed_to(self, user: User) -> list[ChatModel]:
        """The models a user may choose, by name.

        These are the enabled models without groups or with one of the user's groups. The site's default
        model (`CHAT_MODEL`) is always among them.
        """
        return _ALLOWED_MODELS(user=user.pk, name=settings.CHAT_MODEL)

    def without_price(self, moment: dt.datetime) -> ChatModelQuerySet:
        """Enabled models that have no price at this time."""
        priced = ModelPrice.objects.filter(valid_from__lte=moment).values("model")
        return self.filter(Q(enabled=True) | Q(name=settings.CHAT_MODEL)).exclude(pk__in=priced)


class ChatModel(models.Model):
    """A model that users may choose. `name` is its id at the provider; `label` is shown to users."""

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
        """The price of each model that is valid at this time."""
        prices = self.model.objects.filter(model=OuterRef("model"), valid_from__lte=moment)
        return self.filter(pk=Subquery(prices.order_by("-valid_from").values("pk")[:1]))

    def get_effective(self, model: str, moment: dt.datetime) -> ModelPrice | None:
        """The price that applies to a model (by name) at this time, or None if no price is known at all.

        A model without a price is charged the most expensive known one: the highest price for
        completions, then for prompts.
        """
        if price := _PRICE_OF_MODEL.one(model=model, moment=moment):
            return price
        return self.valid_at(moment).order_by("-completion", "-prompt", "pk").first()


_PRICE_OF_MODEL = PreparedQuery(
    lambda: ModelPrice.objects.filter(
        model__name=Parameter("model", models.CharField()), valid_from__lte=Parameter("moment", models.DateTimeField())
    ).order_by("-valid_from")[:1]
)


class ModelPrice(models.Model):
    """The price of a model from `valid_from` on, in micro-dollars per million tokens.

    0 means free; a model without a row has an unknown price. If `cached` is null, cached prompt tokens
    cost as much as other prompt tokens.
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
        """The cost in whole micro-dollars, rounded up. `cached_tokens` are part of `prompt_tokens`."""
        cached_price = self.prompt if self.cached is None else self.cached
        uncached_tokens = prompt_tokens - cached_tokens
        total = uncached_tokens * self.prompt + cached_tokens * cached_price + completion_tokens * self.completion
        return -(-total // 1_000_000)
