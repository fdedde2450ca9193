"""Gives every request an id and logs one line for each: the route, never the query or the body."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from chatsite.logs import new_request_id, request_id

logger = logging.getLogger("chatsite.request")
QUIET = ("healthz", "readyz", "metrics")


def _begin(request: HttpRequest) -> float:
    current = new_request_id(request.headers.get("X-Request-ID"))
    request_id.set(current)
    request.request_id = current  # type: ignore[attr-defined]
    return time.perf_counter()


def _end(request: HttpRequest, response: HttpResponseBase, begun: float) -> HttpResponseBase:
    response.headers["X-Request-ID"] = request_id.get()
    match = request.resolver_match
    route = match.route if match else "unmatched"
    if request.path_info.startswith("/static/") or route in QUIET:
        return response
    logger.info(
        "%s /%s %d",
        request.method if request.method in _METHODS else "OTHER",
        route,
        response.status_code,
        extra={
            "http.route": f"/{route}",
            "http.response.status_code": response.status_code,
            "duration_ms": round((time.perf_counter() - begun) * 1000, 1),
        },
    )
    return response


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


@sync_and_async_middleware
def request_log(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            begun = _begin(request)
            return _end(request, await get_response(request), begun)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        begun = _begin(request)
        return _end(request, get_response(request), begun)

    return synchronous
