"""The errors of the last hour: those in the usage ledger, and what the provider answered this process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max
from django.utils import timezone

from chat import errors, providers
from chat.admin.pages import ledger_url
from chat.infra import formatting
from chat.models import FAILED_STATUSES, UsageRecord

PERIOD = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ErrorLine:
    """One kind of error.

    `answers` counts the failed answers in the ledger, of all processes. `seen_here` counts the errors of the provider
    in this process, including those after which a retry succeeded. `notify_admin`: only an admin can fix it.
    """

    code: str
    sentence: str
    answers: int
    seen_here: int
    status: str
    last: str
    notify_admin: bool
    url: str


def errors_of_last_hour() -> list[ErrorLine]:
    """Those that an admin must fix first, then by number of answers. One query."""
    now = timezone.now()
    rows = (
        UsageRecord.objects.filter(created_at__gte=now - PERIOD, status__in=FAILED_STATUSES)
        .order_by()
        .values("reason")
        .annotate(count=Count("pk"), last=Max("created_at"))
    )
    in_ledger = {row["reason"]: row for row in rows}
    seen_here: dict[str, list[providers.RecentError]] = {}
    for error in providers.recent_errors():
        seen_here.setdefault(error.code, []).append(error)
    lines = [
        _line(code, in_ledger.get(code), seen_here.get(code, []), now)
        for code in sorted(in_ledger.keys() | seen_here.keys())
    ]
    return sorted(lines, key=lambda line: (not line.notify_admin, -line.answers))


def _line(
    code: str, row: Mapping[str, Any] | None, seen_here: Sequence[providers.RecentError], now: dt.datetime
) -> ErrorLine:
    error_class = errors.error_classes().get(code)
    moments = [error.last_at for error in seen_here] + ([row["last"]] if row else [])
    return ErrorLine(
        code=code or "unknown",
        sentence=str(error_class.default_message) if error_class else "",
        answers=row["count"] if row else 0,
        seen_here=sum(error.count for error in seen_here),
        status=", ".join(str(error.status) for error in seen_here if error.status),
        last=formatting.age(max(moments), now),
        notify_admin=getattr(error_class, "notify_admin", False),
        url=ledger_url(reason=code, ended="broken"),
    )
