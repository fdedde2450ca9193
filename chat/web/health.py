"""Health checks, metrics, and the stream that `manage.py stream_doctor` looks at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

from django.conf import settings
from django.core import signing
from django.core.cache import caches
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_safe

from chat.answers import current_runner
from chat.infra import metrics
from chat.infra.database_threads import run_in_db_thread
from chat.streaming import sse
from chat.streaming.check import CHECK_EVENTS, CHECK_GAP, CHECK_SALT
from chat.streaming.responses import streaming_response


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
async def metrics_page(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with the bearer token, or from a loopback address without forwarding headers."""
    if not _may_scrape(request):
        return HttpResponse("Not for you.\n", status=403, content_type="text/plain")
    metrics.open_streams.set(len(current_runner().readers))
    metrics.running.set(len(current_runner()))
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def _may_scrape(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}")
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    return request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1") and not forwarded


@require_safe
async def readyz(request: HttpRequest) -> HttpResponse:
    """503 names what does not answer. A process that is closing is not ready."""
    missing = await run_in_db_thread(_missing)
    if current_runner().closing:
        missing.append("restarting")
    if missing:
        return HttpResponse("not ready: " + ", ".join(missing) + "\n", status=503, content_type="text/plain")
    return HttpResponse("ready\n", content_type="text/plain")


def _missing() -> list[str]:
    missing = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        missing.append("database")
    try:
        caches["default"].get("readyz")
    except Exception:  # each cache backend raises its own client's errors
        missing.append("cache")
    return missing


@csrf_protect
async def stream_check(request: HttpRequest) -> HttpResponseBase:
    """What `manage.py stream_doctor` looks at: a short stream without a model behind it.

    Open to whoever holds a fresh token signed with the site's own secret key.
    """
    try:
        signing.loads(request.headers.get("X-Stream-Check", ""), salt=CHECK_SALT, max_age=300)
    except signing.BadSignature:
        return HttpResponse("Not for you.\n", status=403, content_type="text/plain")
    if request.method == "POST":
        return JsonResponse({"csrf": "accepted"})
    facts = {
        "process": str(current_runner().process_id),
        "shared": bool(settings.REDIS_URL),
        "asgi": isinstance(request, ASGIRequest),
        "scheme": request.scheme,
        "csrf": get_token(request),
    }

    async def body() -> AsyncGenerator[bytes, None]:
        yield sse.COMMENT_PING
        yield sse.event(json.dumps(facts))
        for number in range(CHECK_EVENTS):
            await asyncio.sleep(CHECK_GAP)
            yield sse.event(str(number))
        yield sse.event("done", name="done")

    return streaming_response(body(), "text/event-stream; charset=utf-8")
