"""Whether this process is up and ready."""

from __future__ import annotations

from django.core.cache import caches
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from chat import runner
from chat.threads import in_database


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
async def readyz(request: HttpRequest) -> HttpResponse:
    """503 names what does not answer; a process that is closing is not ready."""
    missing = await in_database(_missing)
    if runner.current().closing:
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
