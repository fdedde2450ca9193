"""Django's middleware without a thread for each of its hooks.

As it comes, every `process_request` and `process_response` is a hop to a thread and back: a
dozen for each request, two thirds of what setting it up costs. These hooks wait for nothing,
so they run on the event loop; where a session has to be saved, that one still hops.
"""

from __future__ import annotations

from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin


class OnLoop(MiddlewareMixin):
    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        before, after = getattr(self, "process_request", None), getattr(self, "process_response", None)
        response: HttpResponseBase | None = before(request) if before else None
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]
        if after is None:
            return response
        if self.writes(request):
            after = sync_to_async(after)
            return await after(request, response)
        return after(request, response)

    def writes(self, request: HttpRequest) -> bool:
        """Whether `process_response` is going to wait for a database."""
        return False


class Security(OnLoop, SecurityMiddleware):
    pass


class Sessions(OnLoop, SessionMiddleware):
    def writes(self, request: HttpRequest) -> bool:
        return bool(request.session.modified)


class Locale(OnLoop, LocaleMiddleware):
    pass


class Common(OnLoop, CommonMiddleware):
    pass


class Csrf(OnLoop, CsrfViewMiddleware):
    async def process_view(self, request: HttpRequest, *args: Any) -> HttpResponseBase | None:  # type: ignore[override]
        return super().process_view(request, *args)


class Authentication(OnLoop, AuthenticationMiddleware):
    pass


class Messages(OnLoop, MessageMiddleware):
    def writes(self, request: HttpRequest) -> bool:
        """Into the session, as its fallback."""
        stored = request._messages  # type: ignore[attr-defined]
        return bool(stored.used or stored.added_new)


class Frames(OnLoop, XFrameOptionsMiddleware):
    pass


ON_LOOP: Final = {
    "django.middleware.security.SecurityMiddleware": "chatsite.on_loop.Security",
    "django.contrib.sessions.middleware.SessionMiddleware": "chatsite.on_loop.Sessions",
    "django.middleware.locale.LocaleMiddleware": "chatsite.on_loop.Locale",
    "django.middleware.common.CommonMiddleware": "chatsite.on_loop.Common",
    "django.middleware.csrf.CsrfViewMiddleware": "chatsite.on_loop.Csrf",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "chatsite.on_loop.Authentication",
    "django.contrib.messages.middleware.MessageMiddleware": "chatsite.on_loop.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware": "chatsite.on_loop.Frames",
}
