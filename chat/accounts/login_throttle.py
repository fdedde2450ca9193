"""Limits on login and sign-up attempts, checked before a password is hashed.

A login attempt is counted by client address and by user name; a successful one is not counted. A browser
that has logged in before (it has a signed cookie) is counted separately, so that other people's attempts
with a user name cannot lock its owner out.
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
from chat.limits.values import Rule

DEVICE_COOKIE = "__Host-device" if settings.HTTPS_ONLY else "device"
DEVICE_COOKIE_AGE = 365 * 24 * 3600
"""In seconds."""
_SALT = "chat.logins.device"


@dataclass(frozen=True)
class Attempt:
    """An attempt whose result is not known yet: pairs of limiter subject and reservation id."""

    reservations: tuple[tuple[str, str], ...]

    def finish(self, *, succeeded: bool) -> None:
        """Settle the reservations. Success also resets the count of failures for the user name."""
        for subject, reservation_id in self.reservations:
            with suppress(errors.LimiterUnavailable):
                limiter.current().settle_sync(
                    subject, reservation_id=reservation_id, tokens=0, cost=0, refund_request=succeeded
                )
                if succeeded and subject.startswith("login:"):
                    limiter.current().reset_sync(subject)


def start_attempt(request: HttpRequest, username: str) -> Attempt:
    """Count a login attempt; call `finish` when its result is known.

    Raises `LimitExceeded`, with the same message whether the user exists or not, or `LimiterUnavailable`.
    """
    address = plans.client_address(request.META)
    login = plans.login_subject(username + _device_suffix(request, username))
    return _reserve((address, plans.login_rules(address)), (login, plans.login_rules(login)))


def start_signup_attempt(request: HttpRequest) -> Attempt:
    """Count a sign-up or password form, by client address only. Raises the same errors as `start_attempt`."""
    return _reserve((plans.client_address(request.META), plans.signup_rules()))


def _reserve(*requested: tuple[str, tuple[Rule, ...]]) -> Attempt:
    reserved: list[tuple[str, str]] = []
    for subject, rules in requested:
        reservation_id = str(uuid.uuid4())
        try:
            limiter.current().reserve_sync(subject, rules, reservation_id=reservation_id)
        except errors.ChatError:
            Attempt(tuple(reserved)).finish(succeeded=True)
            raise
        reserved.append((subject, reservation_id))
    return Attempt(tuple(reserved))


def remember_device(response: HttpResponse, username: str) -> None:
    """Set the cookie of a browser that has logged in as `username`."""
    value = signing.dumps([plans.login_subject(username), secrets.token_urlsafe(12)], salt=_SALT)
    response.set_cookie(
        DEVICE_COOKIE, value, max_age=DEVICE_COOKIE_AGE, secure=settings.HTTPS_ONLY, httponly=True, samesite="Lax"
    )


def _device_suffix(request: HttpRequest, username: str) -> str:
    """Makes the limiter subject of a known browser differ from the one of the user name; empty for others."""
    try:
        cookie = request.COOKIES.get(DEVICE_COOKIE, "")
        subject, token = signing.loads(cookie, salt=_SALT, max_age=DEVICE_COOKIE_AGE)
    except (signing.BadSignature, ValueError):
        return ""
    return f"\n{token}" if subject == plans.login_subject(username) else ""
