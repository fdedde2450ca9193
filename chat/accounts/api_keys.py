"""Personal keys for the JSON API: made, shown once, stored as a hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import errors
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import ApiKey, User
from chat.text import clean_text

MARK = "cs_"
SECRET_BYTES = 32
LENGTH = len(MARK) + 43
SHOWN = len(MARK) + 8
MOST = 50
NOTED_EVERY = dt.timedelta(minutes=1)


def create(user: User, name: str, *, expires_at: dt.datetime | None = None) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown this once. Raises `InvalidInput`."""
    name = " ".join(clean_text(name).split())[:80]
    if not name:
        raise errors.InvalidInput(_("Give the key a name."))
    if expires_at is not None and expires_at <= timezone.now():
        raise errors.InvalidInput(_("The key would have expired already."))
    if active_keys().filter(user=user).count() >= MOST:
        raise errors.InvalidInput(_("Revoke a key first: %(most)s are in use.") % {"most": MOST})
    secret = MARK + secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey.objects.create(
        user=user, name=name, prefix=secret[:SHOWN], digest=_digest(secret), expires_at=expires_at
    )
    return key, secret


def active_keys():
    """Keys that open the door now, as `ApiKey.is_usable` says of one."""
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(alive, revoked_at=None, user__is_active=True)


_BY_DIGEST = PreparedQuery(
    lambda: ApiKey.objects.select_related("user").filter(digest=Parameter("digest", models.CharField())).order_by()
)


def authenticate(secret: str) -> ApiKey | None:
    """The key, with its `user`; notes the use, at most once a minute. One query, two when it notes."""
    if len(secret) != LENGTH or not secret.startswith(MARK) or not secret.isascii():
        return None
    key, now = _BY_DIGEST.one(digest=_digest(secret)), timezone.now()
    if key is None or not key.is_usable(now):
        return None
    if key.last_used_at is None or now - key.last_used_at > NOTED_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def revoke(key: ApiKey) -> bool:
    """False where it was revoked before."""
    return bool(ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()))


def _digest(secret: str) -> str:
    """A plain hash will do: the secret has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
