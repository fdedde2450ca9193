"""Headers every response carries, and static files."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from whitenoise.middleware import WhiteNoiseMiddleware

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)
CSP_OF_ADMIN = CSP.replace("img-src 'self'", "img-src 'self' data:")
HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
}


def _add(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault(
        "Content-Security-Policy", CSP_OF_ADMIN if request.path_info.startswith("/admin/") else CSP
    )
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path_info.startswith("/static/") or response.status_code >= 400:
        response.headers.setdefault("Cache-Control", "no-store")
    return response


@sync_and_async_middleware
def security_headers(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _add(request, await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _add(request, get_response(request))

    return synchronous


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise on the event loop.

    As it comes it knows plain calls only, so that Django would run every request behind it
    inside a thread: one thread for each request that waits, and clients that leave unnoticed.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        return self._asynchronous(request) if iscoroutinefunction(self) else super().__call__(request)

    async def _asynchronous(self, request: HttpRequest) -> HttpResponseBase:
        response = super().__call__(request)
        return await response if inspect.isawaitable(response) else response
