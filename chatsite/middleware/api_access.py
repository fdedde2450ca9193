"""Callers of the JSON API: a bearer key is used without cookies, and pages of listed origins may call it (CORS)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import SplitResult

from asgiref.sync import iscoroutinefunction
from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from chatsite.server.csrf import skip_csrf_check

API_PREFIX = "/api/"


def _use_one_credential(request: HttpRequest) -> None:
    """Ignore cookies beside a bearer key. Without a session cookie there is nothing to forge: no CSRF token."""
    if not request.path_info.startswith(API_PREFIX):
        return
    if request.headers.get("Authorization", "").lower().startswith("bearer "):
        request.COOKIES = {}
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        skip_csrf_check(request)


@sync_and_async_middleware
def one_credential(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Requests of the API are authenticated by a bearer key or by a session with a CSRF token, never by both."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            _use_one_credential(request)
            response: HttpResponseBase = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        _use_one_credential(request)
        return get_response(request)

    return synchronous


class ApiCors(CorsMiddleware):
    """django-cors-headers for the paths of the API and the origins in `API_CORS_ORIGINS`.

    Stricter than the original: a preflight request of an unlisted origin is answered by the view, as any OPTIONS.
    Cookies are never allowed (`CORS_ALLOW_CREDENTIALS` is not set).
    """

    def is_enabled(self, request: HttpRequest) -> bool:
        return bool(settings.API_CORS_ORIGINS) and request.path_info.startswith(API_PREFIX)

    def origin_found_in_white_lists(self, origin: str, url: SplitResult) -> bool:
        return origin in settings.API_CORS_ORIGINS

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        response = super().check_preflight(request)
        if response is None or request.headers.get("Origin") not in settings.API_CORS_ORIGINS:
            return None
        response.status_code = 204
        del response.headers["Content-Length"]  # RFC 9110, 8.6: a 204 has none
        return response

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if self.is_enabled(request):
            patch_vary_headers(response, ("Origin",))
        return super().add_response_headers(request, response)
