"""Django's middleware without a thread for each of its hooks.

Django runs every `process_request` and `process_response` in a thread: a dozen thread hops for each request, two thirds
of the cost of setting it up. These hooks wait for nothing, so they run on the event loop. Only where a session or a
message has to be saved does the hook run in a thread.

Private, read in Django 5.2.19 and 6.1.3: `MiddlewareMixin.__acall__`, and what the hooks of each subclass below do.
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


class AsyncHooks(MiddlewareMixin):
    """Runs the hooks on the event loop, and `process_response` in a thread where it writes to the database."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        process_request = getattr(self, "process_request", None)
        process_response = getattr(self, "process_response", None)
        response: HttpResponseBase | None = process_request(request) if process_request else None
        if response is None:
            response = await self.get_response(request)  # type: ignore[misc]
        if process_response is None:
            return response
        if self.writes_to_database(request):
            response = await sync_to_async(process_response)(request, response)
        else:
            response = process_response(request, response)
        return response

    def writes_to_database(self, request: HttpRequest) -> bool:
        """Whether `process_response` is going to write to the database."""
        return False


class AsyncSecurityMiddleware(AsyncHooks, SecurityMiddleware):
    pass


class AsyncSessionMiddleware(AsyncHooks, SessionMiddleware):
    def writes_to_database(self, request: HttpRequest) -> bool:
        return bool(request.session.modified)


class AsyncLocaleMiddleware(AsyncHooks, LocaleMiddleware):
    pass


class AsyncCommonMiddleware(AsyncHooks, CommonMiddleware):
    pass


class AsyncCsrfViewMiddleware(AsyncHooks, CsrfViewMiddleware):
    async def process_view(self, request: HttpRequest, *args: Any) -> HttpResponseBase | None:  # type: ignore[override]
        return super().process_view(request, *args)


class AsyncAuthenticationMiddleware(AsyncHooks, AuthenticationMiddleware):
    pass


class AsyncMessageMiddleware(AsyncHooks, MessageMiddleware):
    def writes_to_database(self, request: HttpRequest) -> bool:
        """Messages that do not fit into the cookie are stored in the session."""
        # Private, read in Django 5.2.19 and 6.1.3: the message storage of the request and its two flags.
        stored = request._messages  # type: ignore[attr-defined]
        return bool(stored.used or stored.added_new)


class AsyncXFrameOptionsMiddleware(AsyncHooks, XFrameOptionsMiddleware):
    pass


_HERE = "chatsite.server.async_middleware"
ASYNC_MIDDLEWARE: Final = {
    "django.middleware.security.SecurityMiddleware": f"{_HERE}.AsyncSecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware": f"{_HERE}.AsyncSessionMiddleware",
    "django.middleware.locale.LocaleMiddleware": f"{_HERE}.AsyncLocaleMiddleware",
    "django.middleware.common.CommonMiddleware": f"{_HERE}.AsyncCommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware": f"{_HERE}.AsyncCsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware": f"{_HERE}.AsyncAuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware": f"{_HERE}.AsyncMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware": f"{_HERE}.AsyncXFrameOptionsMiddleware",
}
"""Django's middleware by its dotted path, and the class that takes its place."""
