"""Users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """An account with its settings."""

    class Theme(models.TextChoices):
        AUTO = "auto", _("System")
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

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        hashes = super().get_session_auth_fallback_hash()
        for secret, password_hash in zip(settings.SECRET_KEY_FALLBACKS, hashes, strict=True):
            yield self._epoch_hash(password_hash, secret)

    def _epoch_hash(self, password_hash: str, secret: str | None = None) -> str:
        """Sessions store this hash: when `session_epoch` changes, every session of the user ends.

        `secret` is `SECRET_KEY` by default.
        """
        value = f"{password_hash}:{self.session_epoch}"
        return salted_hmac("chat.session", value, secret, algorithm="sha256").hexdigest()

    @classmethod
    def includes_last_superuser(cls, users: Iterable[User]) -> bool:
        """Whether no active superuser would be left without these users."""
        removed = [user.pk for user in users if user.is_superuser]
        if not removed:
            return False
        return not cls.objects.filter(is_superuser=True, is_active=True).exclude(pk__in=removed).exists()

    def end_sessions(self) -> None:
        """Log the user out everywhere."""
        type(self).objects.filter(pk=self.pk).update(session_epoch=models.F("session_epoch") + 1)
        self.refresh_from_db(fields=("session_epoch",))
