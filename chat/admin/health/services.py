"""Whether the database, the cache and the limiter answer, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.utils.translation import gettext as _

from chat.limits import limiter


@dataclass(frozen=True, kw_only=True)
class Service:
    """`detail` is the kind of service and its response time, or the class of its error."""

    name: str
    answers: bool
    detail: str


def check_services() -> list[Service]:
    """Send one request to each service."""
    cache_name, place = (_("Redis"), _("shared")) if settings.REDIS_URL else (_("Cache"), _("in this process"))
    return [
        _check(_("Database"), connection.display_name, _query_database),
        _check(cache_name, "" if settings.REDIS_URL else place, lambda: caches["default"].get("health")),
        _check(_("Limits"), place, lambda: limiter.current().reservations_sync("ip:health")),
    ]


def _check(name: str, detail: str, send_request: Callable[[], Any]) -> Service:
    started = time.perf_counter()
    try:
        send_request()
    except Exception as error:  # each backend raises the errors of its own client
        return Service(name=name, answers=False, detail=type(error).__name__)
    milliseconds = (time.perf_counter() - started) * 1000
    return Service(name=name, answers=True, detail=", ".join(filter(None, (detail, f"{milliseconds:.1f} ms"))))


def _query_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
