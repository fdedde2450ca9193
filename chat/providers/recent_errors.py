"""The provider's errors of the last hour, for the admin and the log.

Holds counts and codes, never text of a prompt, an answer or the provider.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from django.utils import timezone

from chat import errors
from chat.infra.process import process

logger = logging.getLogger(__name__)

KEEP_SECONDS = 3600.0
LOG_INTERVAL_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentError:
    """One kind of error.

    `status` is the provider's HTTP status, None where there was no response. `notify_admin`: only a change of the
    configuration or of the account with the provider can end it.
    """

    code: str
    status: int | None
    notify_admin: bool
    count: int
    last_at: dt.datetime


class RecentErrors:
    """Counts errors by code and status. One per process; safe in any thread. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._errors: dict[tuple[str, int | None], tuple[float, RecentError]] = {}
        self._logged_at: dict[str, float] = {}

    def add(self, error: errors.ProviderError, status: int | None = None) -> None:
        """Count an error. Log it at most once a minute for each code if only an administrator can end it."""
        now = self._clock()
        with self._lock:
            self._count(now, error, status)
            log = error.notify_admin and now - self._logged_at.get(error.code, -math.inf) >= LOG_INTERVAL_SECONDS
            if log:
                self._logged_at[error.code] = now
        if log:
            logger.error("the provider needs an administrator: %s (HTTP status: %s)", error.code, status or "none")

    def latest(self) -> list[RecentError]:
        """Those for the administrator first, then the latest."""
        with self._lock:
            self._drop_old(self._clock())
            recent = [error for _, error in self._errors.values()]
        return sorted(recent, key=lambda error: (error.notify_admin, error.last_at), reverse=True)

    def _count(self, now: float, error: errors.ProviderError, status: int | None) -> None:
        self._drop_old(now)
        key = (error.code, status)
        _, known = self._errors.get(key, (now, None))
        if known is None:
            known = RecentError(
                code=error.code, status=status, notify_admin=error.notify_admin, count=0, last_at=timezone.now()
            )
        self._errors[key] = (now, replace(known, count=known.count + 1, last_at=timezone.now()))

    def _drop_old(self, now: float) -> None:
        for key in [key for key, (last, _) in self._errors.items() if now - last > KEEP_SECONDS]:
            del self._errors[key]


def recent_errors() -> list[RecentError]:
    """The errors that this process got from the provider in the last hour; see `RecentErrors.latest`."""
    return process.part(RecentErrors).latest()
