"""Request ids, and one log line for each request: the route, never the query or the body."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from chatsite.logging import new_request_id, request_id

logger = logging.getLogger("chatsite.request")

ROUTES_NOT_LOGGED = ("healthz", "readyz", "metrics")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
"""Any other method is logged as OTHER: a client can send any text here."""


def _start(request: HttpRequest) -> float:
    """Set the request's id; returns the time of `time.perf_counter`."""
    current = new_request_id(request.headers.get("X-Request-ID"))
    request_id.set(current)
    request.request_id = current  # type: ignore[attr-defined]
    return time.perf_counter()


def _finish(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
    response.headers["X-Request-ID"] = request_id.get()
    match = request.resolver_match
    route = match.route if match else "unmatched"
    if request.path_info.startswith("/static/") or route in ROUTES_NOT_LOGGED:
        return response
    logger.info(
        "%s /%s %d",
        request.method if request.method in METHODS else "OTHER",
        route,
        response.status_code,
        extra={
            "http.route": f"/{route}",
            "http.response.status_code": response.status_code,
            "duration_ms": round((time.perf_counter() - started) * 1000, 1),
        },
    )
    return response


@sync_and_async_middleware
def request_log(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """The outermost middleware: the id is in every log line of the request and in the header `X-Request-ID`."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            started = _start(request)
            return _finish(request, await get_response(request), started)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        started = _start(request)
        return _finish(request, get_response(request), started)

    return synchronous
