"""Whether the site is well, and what an admin should change."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.db.models import Count, Exists, Max, OuterRef
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from chat import errors, providers
from chat.admin import words
from chat.admin.pages import SEE_USAGE, ledger_url, needs, show
from chat.limits import limiter
from chat.models import FAILED_STATUSES, Message, Plan, ServerProcess, UsageRecord
from chat.usage import prices

HOUR = dt.timedelta(hours=1)
UNPRICED_SINCE = dt.timedelta(days=1)

Level = Literal["good", "warn", "bad"]


@needs(SEE_USAGE)
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    processes = server_processes()
    faults = faults_of_the_last_hour()
    asked = services()
    return show(
        request,
        "health",
        _("Health"),
        notices=notices(processes, faults),
        services=asked,
        faults=faults,
        processes=processes,
        facts=_facts(),
        at=timezone.now(),
    )


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to change, with the page that does it."""

    level: Level
    text: str
    url: str = ""
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Service:
    name: str
    answers: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class FaultLine:
    """One way in which answers broke; `count` comes from the ledger, `retried` includes what this process mended."""

    code: str
    sentence: str
    count: int
    seen_here: int
    status: str
    last: str
    tell_admin: bool
    url: str


@dataclass(frozen=True, kw_only=True)
class ProcessLine:
    name: str
    alive: bool
    up: str
    beat: str
    answers: int


def server_processes() -> list[ProcessLine]:
    now = timezone.now()
    running = Count("messages", filter=Exists(Message.objects.running().filter(pk=OuterRef("messages__pk"))))
    rows = ServerProcess.objects.annotate(answers=running).order_by("host", "started_at")
    return [
        ProcessLine(
            name=str(row),
            alive=now - row.heartbeat_at <= ServerProcess.STALE_AFTER,
            up=words.ago(row.started_at, now),
            beat=words.ago(row.heartbeat_at, now),
            answers=row.answers,
        )
        for row in rows
    ]


def faults_of_the_last_hour() -> list[FaultLine]:
    """The ledger knows what broke on any process, this process what the provider said to it."""
    now = timezone.now()
    rows = (
        UsageRecord.objects.filter(created_at__gte=now - HOUR, status__in=FAILED_STATUSES)
        .order_by()
        .values("reason")
        .annotate(count=Count("pk"), last=Max("created_at"))
    )
    booked = {row["reason"]: row for row in rows}
    here: dict[str, list[providers.RecentError]] = {}
    for fault in providers.recent_errors():
        here.setdefault(fault.code, []).append(fault)
    sentences = _sentences()
    lines = []
    for code in sorted(booked.keys() | here.keys()):
        seen, row = here.get(code, []), booked.get(code)
        moments = [fault.last_at for fault in seen] + ([row["last"]] if row else [])
        lines.append(
            FaultLine(
                code=code or "unknown",
                sentence=sentences.get(code, ""),
                count=row["count"] if row else 0,
                seen_here=sum(fault.count for fault in seen),
                status=", ".join(str(fault.status) for fault in seen if fault.status),
                last=words.ago(max(moments), now),
                tell_admin=_needs_admin(code),
                url=ledger_url(reason=code, ended="broken"),
            )
        )
    return sorted(lines, key=lambda line: (not line.tell_admin, -line.count))


def _kinds(base: type[errors.ChatError] = errors.ChatError) -> list[type[errors.ChatError]]:
    return [base, *(kind for child in base.__subclasses__() for kind in _kinds(child))]


def _sentences() -> dict[str, str]:
    return {kind.code: str(kind.sentence) for kind in _kinds()}


def _needs_admin(code: str) -> bool:
    return any(kind.code == code and getattr(kind, "tell_admin", False) for kind in _kinds(errors.ProviderError))


def services() -> list[Service]:
    """Asked now, and timed."""
    cache = _("Redis") if settings.REDIS_URL else _("Cache")
    return [
        _service(_("Database"), connection.display_name, _ask_database),
        _service(cache, "" if settings.REDIS_URL else _("in this process"), _ask_cache("default")),
        _service(_("Limits"), _("shared") if settings.REDIS_URL else _("in this process"), _ask_limiter),
    ]


def _service(name: str, detail: str, ask: Callable[[], Any]) -> Service:
    begun = time.perf_counter()
    try:
        ask()
    except Exception as error:  # each backend raises its own client's errors
        return Service(name=name, answers=False, detail=type(error).__name__)
    took = (time.perf_counter() - begun) * 1000
    return Service(name=name, answers=True, detail=", ".join(filter(None, (detail, f"{took:.1f} ms"))))


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_cache(name: str) -> Callable[[], Any]:
    return lambda: caches[name].get("health")


def _ask_limiter() -> None:
    limiter.leases_sync("ip:health")


def notices(processes: Sequence[ProcessLine], faults: Sequence[FaultLine]) -> list[Notice]:
    """What is set up in a way that the admin should know; the worst first."""
    found = [
        *_about_limits(),
        *_about_provider(faults),
        *_about_processes(processes),
        *_about_prices(),
        *_about_plans(),
    ]
    return sorted(found, key=lambda notice: notice.level != "bad")


def _about_limits() -> list[Notice]:
    """What `services` found out when it asked."""
    if not limiter.degraded():
        return []
    text = _("Redis does not answer: limits are decided without it, as LIMITER_WHEN_DOWN=%(mode)s says.")
    return [Notice(level="bad", text=text % {"mode": settings.LIMITER_WHEN_DOWN})]


def _about_provider(faults: Sequence[FaultLine]) -> list[Notice]:
    texts = {
        errors.ProviderMisconfigured.code: _(
            "The provider rejected the key or does not know a model. Check OPENAI_API_KEY, OPENAI_BASE_URL and the "
            "models, then restart."
        ),
        errors.ProviderQuotaExceeded.code: _("The provider's account has no credit left."),
    }
    found = [Notice(level="bad", text=texts[line.code]) for line in faults if line.code in texts]
    if providers.is_demo():
        found.append(Notice(level="warn", text=_("The demo model answers. Set OPENAI_API_KEY to talk to a real one.")))
    return found


def _about_processes(processes: Sequence[ProcessLine]) -> list[Notice]:
    found = []
    silent = sum(not process.alive for process in processes)
    if silent:
        text = ngettext(
            "%(count)d server process went silent; its answers are closed by the others.",
            "%(count)d server processes went silent; their answers are closed by the others.",
            silent,
        )
        found.append(Notice(level="warn", text=text % {"count": silent}))
    if len(processes) - silent > 1 and not settings.REDIS_URL:
        text = _("Several server processes run without Redis: each counts limits for itself. Set REDIS_URL.")
        found.append(Notice(level="bad", text=text))
    if settings.DEBUG:
        found.append(Notice(level="bad", text=_("DEBUG is on: error pages show the site's inside.")))
    return found


def _about_prices() -> list[Notice]:
    if providers.is_demo():
        return []
    catalogue = reverse("admin:chat_chatmodel_changelist")
    found = [Notice(level="warn", text=sentence, url=catalogue, link=_("Set prices")) for sentence in prices.notices()]
    now = timezone.now()
    unpriced = UsageRecord.objects.filter(created_at__gte=now - UNPRICED_SINCE, cost=None).count()
    if unpriced:
        text = ngettext(
            "%(count)d answer of the last day has no cost.", "%(count)d answers of the last day have no cost.", unpriced
        )
        found.append(Notice(level="warn", text=text % {"count": unpriced}))
    return found


def _about_plans() -> list[Notice]:
    if Plan.objects.filter(is_default=True).exists():
        return []
    return [
        Notice(
            level="warn",
            text=_("No plan is the default: the limits the site came with bind everyone without a plan."),
            url=reverse("admin:chat_plan_changelist"),
            link=_("Plans"),
        )
    ]


def _facts() -> list[tuple[str, str]]:
    return [
        (_("Model"), settings.CHAT_MODEL),
        (_("Provider"), _("demo") if providers.is_demo() else urlsplit(settings.OPENAI_BASE_URL).hostname or "OpenAI"),
        (_("Key"), _("set") if settings.OPENAI_API_KEY else _("not set")),
        (_("Time zone"), settings.TIME_ZONE),
        (_("HTTPS only"), _("yes") if settings.HTTPS_ONLY else _("no")),
        (_("When Redis is down"), settings.LIMITER_WHEN_DOWN),
    ]


def summary() -> tuple[Level, int]:
    """For the front page: how bad, and how many notices."""
    down = sum(not service.answers for service in services())
    found = notices(server_processes(), faults_of_the_last_hour())
    level: Level = "bad" if down or any(n.level == "bad" for n in found) else "warn" if found else "good"
    return level, len(found) + down
