"""The limits of one user right now: what is used, reserved and left, and resetting them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.http import require_POST, require_safe

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest
from chat.admin.pages import CHANGE_LIMITS, SEE_USAGE, ledger_url, log_change, render_page, require_permissions
from chat.admin.running_answers import list_running_answers, without_running_answer
from chat.infra import formatting
from chat.limits import limiter
from chat.limits.messages import describe
from chat.limits.plans import rules_for, subject_of
from chat.limits.status import LimitStatus, present
from chat.limits.values import Rule
from chat.models import LIMIT_NAMES, LimitOverride, Plan, User
from chat.usage import reports
from chat.usage.reports import DateRange

SEE_PEOPLE = "chat.view_user"


@require_permissions(SEE_USAGE, SEE_PEOPLE)
@require_safe
def user_limits(request: HttpRequest, user_id: int) -> HttpResponse:
    person = get_object_or_404(User, pk=user_id)
    overrides = {row.rule: row for row in LimitOverride.objects.filter(user=person).active()}
    rules = rules_for(person)
    answers = list_running_answers(conversation__user=person)
    try:
        states = limiter.current().peek_sync(subject_of(person), rules)
        rows = [_row(status, overrides) for status in present(states, tightest_first=False)]
        reservations = limiter.current().reservations_sync(subject_of(person))
        refusals = limiter.current().refusals_sync(subject_of(person))
    except errors.LimiterUnavailable:
        messages.error(request, _("Redis does not answer: what is used and reserved cannot be read right now."))
        rows, reservations, refusals = [], [], []
    without = without_running_answer([each.reservation_id for each in reservations], answers)
    month = reports.total(DateRange.last_days(30), user=person)
    return render_page(
        request,
        "allowance",
        _("Usage and limits of %(name)s") % {"name": person.get_username()},
        person=person,
        rows=rows,
        unlimited=[_NAMES.get(name, name) for name in LIMIT_NAMES if name not in {rule.name for rule in rules}],
        answers=answers,
        loose=[each for each in reservations if each.reservation_id in without],
        refusals=[_refusal(each, rules) for each in refusals],
        plans=_plans(person),
        overrides=overrides.values(),
        month={
            "cost": formatting.dollars(month.cost),
            "requests": formatting.number(month.requests),
            "tokens": formatting.number(month.tokens),
            "refusals": formatting.number(month.refusals),
        },
        ledger=ledger_url(person=str(person.pk)),
        at=timezone.now(),
    )


@require_permissions(SEE_USAGE, SEE_PEOPLE, CHANGE_LIMITS)
@require_POST
def reset(request: AuthenticatedHttpRequest, user_id: int) -> HttpResponse:
    """Reset one limit, named by `rule`, or all."""
    person = get_object_or_404(User, pk=user_id)
    rule = request.POST.get("rule", "")
    if rule and rule not in LIMIT_NAMES:
        raise Http404
    try:
        limiter.current().reset_sync(subject_of(person), rule or None)
    except errors.LimiterUnavailable as error:
        messages.error(request, error.message)
    else:
        log_change(request, person, f"Reset the limit {rule}." if rule else "Reset all limits.")
        messages.success(request, _("The usage was reset."))
    return HttpResponseRedirect(reverse("admin:chat_user_limits", args=(person.pk,)))


_NAMES: Mapping[str, str | Promise] = {
    "requests_per_minute": lazy("messages per minute"),
    "requests_per_day": lazy("messages per day"),
    "tokens_per_minute": lazy("tokens per minute"),
    "tokens_per_day": lazy("tokens per day"),
    "tokens_per_month": lazy("tokens per month"),
    "cost_per_day": lazy("cost per day"),
    "cost_per_month": lazy("cost per month"),
    "concurrent_answers": lazy("answers at the same time"),
}


@dataclass(frozen=True, kw_only=True)
class LimitRow:
    """One limit as the table shows it; the widths are percent, for the SVG bar."""

    status: LimitStatus
    used_width: str
    reserved_width: str
    resets: str
    wait: str
    override: LimitOverride | None


def _row(status: LimitStatus, overrides: Mapping[str, LimitOverride]) -> LimitRow:
    limit = status.rule.capacity
    used = min(status.used / limit, 1) if limit else 1.0
    reserved = min(status.reserved / limit, 1 - used) if limit else 0.0
    return LimitRow(
        status=status,
        used_width=f"{used * 100:.1f}",
        reserved_width=f"{reserved * 100:.1f}",
        resets=formatting.duration(status.resets_in) if status.resets_in else "",
        wait=_("blocked") if status.wait is None else formatting.duration(status.wait) if status.wait else "",
        override=overrides.get(status.name),
    )


@dataclass(frozen=True, kw_only=True)
class Refusal:
    when: str
    times: int
    rules: str


def _refusal(past: limiter.PastRefusal, rules: tuple[Rule, ...]) -> Refusal:
    known = {rule.name: describe(rule) for rule in rules}
    return Refusal(
        when=formatting.age(past.last, timezone.now()),
        times=past.times,
        rules=", ".join(known.get(name, name) for name in past.waits),
    )


def _plans(person: User) -> str:
    """The plans of the user's groups, or the default plan."""
    names = list(Plan.objects.filter(groups__user=person).distinct().values_list("name", flat=True))
    names = names or list(Plan.objects.filter(is_default=True).values_list("name", flat=True))
    return ", ".join(names) or _("the built-in limits")
