"""Plans, and exceptions from a plan for one user."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.users import User


class LimitColumns(models.Model):
    """The limits of a plan. Null means unlimited, 0 means blocked. Costs are in micro-dollars."""

    requests_per_minute = models.PositiveIntegerField(
        _("messages per minute"), null=True, blank=True, help_text=_("Empty: unlimited. 0: blocked.")
    )
    requests_per_day = models.PositiveIntegerField(_("messages per day"), null=True, blank=True)
    tokens_per_minute = models.PositiveBigIntegerField(_("tokens per minute"), null=True, blank=True)
    tokens_per_day = models.PositiveBigIntegerField(_("tokens per day"), null=True, blank=True)
    tokens_per_month = models.PositiveBigIntegerField(_("tokens per month"), null=True, blank=True)
    cost_per_day = models.PositiveBigIntegerField(_("cost per day (micro-dollars)"), null=True, blank=True)
    cost_per_month = models.PositiveBigIntegerField(_("cost per month (micro-dollars)"), null=True, blank=True)
    concurrent_answers = models.PositiveIntegerField(_("answers at the same time"), null=True, blank=True)

    class Meta:
        abstract = True


LIMIT_NAMES: tuple[str, ...] = (
    "requests_per_minute",
    "requests_per_day",
    "tokens_per_minute",
    "tokens_per_day",
    "tokens_per_month",
    "cost_per_day",
    "cost_per_month",
    "concurrent_answers",
)


class Plan(LimitColumns):
    """Limits for the members of some groups. The default plan applies to users without another one."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    groups: models.ManyToManyField[Group, Plan] = models.ManyToManyField(
        Group, blank=True, related_name="chat_plans", verbose_name=_("groups")
    )
    is_default = models.BooleanField(_("default plan"), default=False)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_default",), condition=models.Q(is_default=True), name="plan_one_default"
            ),
        )

    def __str__(self) -> str:
        return self.name


class LimitOverrideQuerySet(models.QuerySet["LimitOverride"]):
    def active(self) -> LimitOverrideQuerySet:
        """Overrides that have not expired."""
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))


class LimitOverride(models.Model):
    """A value that replaces one limit of the plan for one user. `rule` is the name of the limit."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="limit_overrides", verbose_name=_("user"))
    rule = models.CharField(_("limit"), max_length=32, choices=[(name, name) for name in LIMIT_NAMES])
    value = models.PositiveBigIntegerField(
        _("value"), null=True, blank=True, help_text=_("Empty: unlimited. 0: blocked.")
    )
    reason = models.CharField(_("reason"), max_length=200)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("created by")
    )

    objects = LimitOverrideQuerySet.as_manager()

    class Meta:
        verbose_name = _("limit override")
        verbose_name_plural = _("limit overrides")
        constraints = (models.UniqueConstraint(fields=("user", "rule"), name="override_user_rule"),)

    def __str__(self) -> str:
        return f"{self.rule}={'unlimited' if self.value is None else self.value}"
