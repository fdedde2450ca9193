"""Callers of the JSON API: a bearer key is used without cookies, and pages of other origins may call it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from chatsite.server.csrf import skip_csrf_check

API_PREFIX = "/api/"
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, User-Agent",
    "Access-Control-Max-Age": "600",
}
EXPOSED = "RateLimit, RateLimit-Policy, Retry-After, X-Experimental-Stream-Data, X-Vercel-AI-UI-Message-Stream"


def _use_one_credential(request: HttpRequest) -> None:
    """Ignore cookies beside a bearer key. Without a session cookie there is nothing to forge: no CSRF token."""
    if not request.path_info.startswith(API_PREFIX):
        return
    if request.headers.get("Authorization", "").lower().startswith("bearer "):
        request.COOKIES = {}
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        skip_csrf_check(request)


def _origin(request: HttpRequest) -> str | None:
    """The calling page's origin where it is one of `API_CORS_ORIGINS`."""
    origin = request.headers.get("Origin")
    return origin if request.path_info.startswith(API_PREFIX) and origin in settings.API_CORS_ORIGINS else None


def _preflight(request: HttpRequest, origin: str | None) -> HttpResponse | None:
    if origin is None or request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    return HttpResponse(status=204, headers=PREFLIGHT)


def _share(request: HttpRequest, response: HttpResponseBase, origin: str | None) -> HttpResponseBase:
    """Lets the page read the answer, never with cookies: those stay with pages of this site."""
    if request.path_info.startswith(API_PREFIX) and settings.API_CORS_ORIGINS:
        patch_vary_headers(response, ("Origin",))
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
    return response


@sync_and_async_middleware
def api_access(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            _use_one_credential(request)
            origin = _origin(request)
            return _share(request, _preflight(request, origin) or await get_response(request), origin)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        _use_one_credential(request)
        origin = _origin(request)
        return _share(request, _preflight(request, origin) or get_response(request), origin)

    return synchronous
