"""Who may use the site, and how much."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    class Theme(models.TextChoices):
        AUTO = "auto", _("As the device")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    theme = models.CharField(_("theme"), max_length=8, choices=Theme, default=Theme.AUTO)
    enter_sends = models.BooleanField(
        _("Enter sends"), default=True, help_text=_("Off: Ctrl+Enter sends, Enter makes a new line.")
    )
    system_prompt = models.TextField(_("system prompt"), blank=True, max_length=8000)
    default_model = models.CharField(_("default model"), max_length=128, blank=True)
    session_epoch = models.PositiveIntegerField(default=0, editable=False)

    def get_session_auth_hash(self) -> str:
        return self._epoch_hash(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self):
        for value in super().get_session_auth_fallback_hash():
            yield self._epoch_hash(value)

    def _epoch_hash(self, password_hash: str) -> str:
        """Raising `session_epoch` ends every session of the person at once."""
        return salted_hmac("chat.session", f"{password_hash}:{self.session_epoch}", algorithm="sha256").hexdigest()

    @classmethod
    def no_superuser_without(cls, people: Iterable[User]) -> bool:
        """Whether only the shell could give rights again if these people were gone."""
        gone = [person.pk for person in people if person.is_superuser]
        return bool(gone) and not cls.objects.filter(is_superuser=True, is_active=True).exclude(pk__in=gone).exists()

    def end_sessions(self) -> None:
        type(self).objects.filter(pk=self.pk).update(session_epoch=models.F("session_epoch") + 1)
        self.refresh_from_db(fields=("session_epoch",))


class LimitColumns(models.Model):
    """The limits of a plan. Null is unlimited, 0 is blocked; costs are micro-dollars."""

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
        return self.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))


class LimitOverride(models.Model):
    """One limit of one person, instead of the plan's."""

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


class ApiKey(models.Model):
    """A personal bearer key; only its SHA-256 is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("prefix"), max_length=16, db_index=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.prefix}…"

    def is_usable(self, now: dt.datetime) -> bool:
        in_time = self.expires_at is None or self.expires_at > now
        return in_time and self.revoked_at is None and self.user.is_active
