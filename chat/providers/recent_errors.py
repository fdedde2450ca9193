"""What went wrong at the provider in the last hour, for the admin and the log.

Holds counts and codes, never a word of a prompt, an answer or the provider.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from dataclasses import dataclass, replace

from django.utils import timezone

from chat import errors

logger = logging.getLogger(__name__)

KEPT = 3600.0
LOG_EVERY = 60.0

_lock = threading.Lock()
_seen: dict[tuple[str, int | None], RecentError] = {}
_last: dict[tuple[str, int | None], float] = {}
_logged: dict[str, float] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecentError:
    """One kind of fault; `status` is the provider's HTTP status, None where it gave none.

    `tell_admin` marks what only a change of the configuration or the account can mend.
    """

    code: str
    sentence: str
    status: int | None
    tell_admin: bool
    count: int
    first_at: dt.datetime
    last_at: dt.datetime


def record(error: errors.ProviderError, status: int | None = None) -> None:
    now, at, key = time.monotonic(), timezone.now(), (error.code, status)
    with _lock:
        _forget(now)
        old = _seen.get(key)
        _last[key] = now
        _seen[key] = (
            replace(old, count=old.count + 1, last_at=at)
            if old
            else RecentError(
                code=error.code,
                sentence=error.message,
                status=status,
                tell_admin=error.notify_admin,
                count=1,
                first_at=at,
                last_at=at,
            )
        )
        due = error.notify_admin and now - _logged.get(error.code, -LOG_EVERY) >= LOG_EVERY
        if due:
            _logged[error.code] = now
    if due:
        logger.error("the model service needs an administrator: %s (its status: %s)", error.code, status or "none")


def recent_errors() -> list[RecentError]:
    """The last hour's faults of this process, those for the administrator first, then the latest."""
    with _lock:
        _forget(time.monotonic())
        faults = list(_seen.values())
    return sorted(faults, key=lambda fault: (fault.tell_admin, fault.last_at), reverse=True)


def _forget(now: float) -> None:
    for key in [key for key, last in _last.items() if now - last > KEPT]:
        del _last[key], _seen[key]
