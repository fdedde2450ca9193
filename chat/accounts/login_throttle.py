"""Login attempts, counted before any password is hashed.

An attempt is reserved under its address and under its name, so that neither can be
tried out; one that succeeds gives both back. A browser that has logged in before
counts under a name of its own: strangers who try a name cannot lock its person out.
"""

from __future__ import annotations

import secrets
import uuid
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from chat import errors
from chat.limits import limiter, plans

DEVICE_COOKIE = "__Host-device" if settings.HTTPS_ONLY else "device"
DEVICE_AGE = 365 * 24 * 3600
_SALT = "chat.logins.device"


@dataclass(frozen=True)
class Attempt:
    """Reservations, `(subject, reservation id)`, until the outcome is known."""

    reservations: tuple[tuple[str, str], ...]

    def end(self, *, succeeded: bool) -> None:
        for subject, reservation_id in self.reservations:
            with suppress(errors.LimiterUnavailable):
                limiter.current().settle_sync(
                    subject, reservation_id=reservation_id, tokens=0, cost=0, refund_request=succeeded
                )
                if succeeded and subject.startswith("login:"):
                    limiter.current().reset_sync(subject)


def start_attempt(request: HttpRequest, name: str) -> Attempt:
    """Raises `LimitExceeded`, with the same sentence for known and unknown names, or `LimiterDown`."""
    address = plans.client_address(request.META)
    named = plans.login_subject(name + _device(request, name))
    return _reserve((address, plans.login_rules(address)), (named, plans.login_rules(named)))


def start_signup_attempt(request: HttpRequest) -> Attempt:
    """For sign-ups and invitations: by address alone. Raises as `begin` does."""
    return _reserve((plans.client_address(request.META), plans.signup_rules()))


def _reserve(*wanted: tuple[str, tuple[plans.Rule, ...]]) -> Attempt:
    taken: list[tuple[str, str]] = []
    for subject, rules in wanted:
        reservation_id = str(uuid.uuid4())
        try:
            limiter.current().reserve_sync(subject, rules, reservation_id=reservation_id)
        except errors.ChatError:
            Attempt(tuple(taken)).end(succeeded=True)
            raise
        taken.append((subject, reservation_id))
    return Attempt(tuple(taken))


def remember_device(response: HttpResponse, name: str) -> None:
    """Marks this browser as one that has logged in under `name`."""
    value = signing.dumps([plans.login_subject(name), secrets.token_urlsafe(12)], salt=_SALT)
    response.set_cookie(
        DEVICE_COOKIE, value, max_age=DEVICE_AGE, secure=settings.HTTPS_ONLY, httponly=True, samesite="Lax"
    )


def _device(request: HttpRequest, name: str) -> str:
    try:
        subject, token = signing.loads(request.COOKIES.get(DEVICE_COOKIE, ""), salt=_SALT, max_age=DEVICE_AGE)
    except (signing.BadSignature, ValueError):
        return ""
    return f"\n{token}" if subject == plans.login_subject(name) else ""
