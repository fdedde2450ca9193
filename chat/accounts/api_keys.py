"""API keys: the secret is shown once when a key is created, and stored as a hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import ApiKey, User
from chat.text import clean_text

KEY_PREFIX = "cs_"
SECRET_BYTES = 32
KEY_LENGTH = len(KEY_PREFIX) + 43
"""`SECRET_BYTES` are 43 characters in URL-safe base64."""
VISIBLE_LENGTH = len(KEY_PREFIX) + 8
MAX_ACTIVE_KEYS = 50
LAST_USED_INTERVAL = dt.timedelta(minutes=1)


def create(user: User, name: str, *, expires_at: dt.datetime | None = None) -> tuple[ApiKey, str]:
    """Create a key. Returns it with its secret, which cannot be read again.

    Raises `InvalidInput` if the name is empty, the expiry date has passed or the user has `MAX_ACTIVE_KEYS` keys.
    """
    name = " ".join(clean_text(name).split())[:80]
    if not name:
        raise errors.InvalidInput(_("Enter a name for the key."))
    if expires_at is not None and expires_at <= timezone.now():
        raise errors.InvalidInput(_("The expiry date must be in the future."))
    if active_keys().filter(user=user).count() >= MAX_ACTIVE_KEYS:
        raise errors.InvalidInput(
            _("You have %(count)s active keys, which is the maximum. Revoke one first.") % {"count": MAX_ACTIVE_KEYS}
        )
    secret = KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey.objects.create(
        user=user, name=name, prefix=secret[:VISIBLE_LENGTH], digest=_digest(secret), expires_at=expires_at
    )
    return key, secret


def active_keys() -> QuerySet[ApiKey]:
    """The keys that are usable now; the same condition as `ApiKey.is_usable`."""
    not_expired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(not_expired, revoked_at=None, user__is_active=True)


_BY_DIGEST = PreparedQuery(
    lambda: ApiKey.objects.select_related("user").filter(digest=Parameter("digest", models.CharField())).order_by()
)


def authenticate(secret: str) -> ApiKey | None:
    """The usable key with this secret and its `user`, or None.

    Saves the time of use, at most once in `LAST_USED_INTERVAL`. One query, two if the time is saved.
    """
    if len(secret) != KEY_LENGTH or not secret.startswith(KEY_PREFIX) or not secret.isascii():
        return None
    key, now = _BY_DIGEST.one(digest=_digest(secret)), timezone.now()
    if key is None or not key.is_usable(now):
        return None
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_INTERVAL:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def revoke(key: ApiKey) -> bool:
    """Revoke a key. Returns False if it was revoked already."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()))


def _digest(secret: str) -> str:
    """A fast hash is enough: the secret is 256 random bits, so it cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
