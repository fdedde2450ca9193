"""The user of a request."""

from __future__ import annotations

from django.contrib.auth.middleware import get_user
from django.http import HttpRequest

from chat.models import User


class AuthenticatedHttpRequest(HttpRequest):
    """A request of an active user, as the decorators of `chat.web` and `chat.api` hand it on."""

    user: User


def current_user(request: HttpRequest) -> User | None:
    """The active user who is logged in. One query at the first call for a request; `request.user` shares it."""
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
