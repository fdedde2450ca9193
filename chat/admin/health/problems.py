"""What is configured or fails in a way that an admin should change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat import errors, providers
from chat.admin.health.processes import ProcessLine
from chat.admin.health.recent_errors import ErrorLine
from chat.limits import limiter
from chat.models import Plan, UsageRecord
from chat.usage import prices

UNPRICED_PERIOD = dt.timedelta(days=1)

Level = Literal["good", "warn", "bad"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A sentence about a problem and, where there is one, a link to the page that fixes it."""

    level: Level
    text: str
    url: str = ""
    link: str = ""


def find_problems(processes: Sequence[ProcessLine], recent_errors: Sequence[ErrorLine]) -> list[Problem]:
    """All problems, the serious ones first. Reads the limiter's state as its last call left it."""
    problems = [
        *_limiter_problems(),
        *_provider_problems(recent_errors),
        *_process_problems(processes),
        *_price_problems(),
        *_plan_problems(),
    ]
    return sorted(problems, key=lambda problem: problem.level != "bad")


def _limiter_problems() -> list[Problem]:
    if not limiter.current().is_degraded:
        return []
    text = _("Redis does not answer: limits are decided without it, as LIMITER_WHEN_DOWN=%(mode)s says.")
    return [Problem(level="bad", text=text % {"mode": settings.LIMITER_WHEN_DOWN})]


def _provider_problems(recent_errors: Sequence[ErrorLine]) -> list[Problem]:
    texts = {
        errors.ProviderMisconfigured.code: _(
            "The provider rejected the key or does not know a model. Check OPENAI_API_KEY, OPENAI_BASE_URL and the "
            "models, then restart."
        ),
        errors.ProviderQuotaExceeded.code: _("The provider's account has no credit left."),
    }
    problems = [Problem(level="bad", text=texts[line.code]) for line in recent_errors if line.code in texts]
    if providers.is_demo():
        text = _("The demo model answers. Set OPENAI_API_KEY to use a real one.")
        problems.append(Problem(level="warn", text=text))
    return problems


def _process_problems(processes: Sequence[ProcessLine]) -> list[Problem]:
    problems = []
    silent = sum(not process.alive for process in processes)
    if silent:
        text = ngettext(
            "%(count)d server process sends no heartbeats; the other processes close its answers.",
            "%(count)d server processes send no heartbeats; the other processes close their answers.",
            silent,
        )
        problems.append(Problem(level="warn", text=text % {"count": silent}))
    if len(processes) - silent > 1 and not settings.REDIS_URL:
        text = _("Several server processes run without Redis: each counts limits on its own. Set REDIS_URL.")
        problems.append(Problem(level="bad", text=text))
    if settings.DEBUG:
        problems.append(Problem(level="bad", text=_("DEBUG is on: error pages show source code and settings.")))
    return problems


def _price_problems() -> list[Problem]:
    if providers.is_demo():
        return []
    url = reverse("admin:chat_chatmodel_changelist")
    problems = [
        Problem(level="warn", text=sentence, url=url, link=_("Set prices"))
        for sentence in prices.missing_price_warnings()
    ]
    since = timezone.now() - UNPRICED_PERIOD
    unpriced = UsageRecord.objects.filter(created_at__gte=since, cost=None).count()
    if unpriced:
        text = ngettext(
            "%(count)d answer of the last day has no cost.", "%(count)d answers of the last day have no cost.", unpriced
        )
        problems.append(Problem(level="warn", text=text % {"count": unpriced}))
    return problems


def _plan_problems() -> list[Problem]:
    if Plan.objects.filter(is_default=True).exists():
        return []
    return [
        Problem(
            level="warn",
            text=_("No plan is the default: everyone without a plan has the built-in limits."),
            url=reverse("admin:chat_plan_changelist"),
            link=_("Plans"),
        )
    ]
