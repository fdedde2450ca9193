"""What one person may still use, as the limiter sees it right now."""

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
from chat.admin import words
from chat.admin.live import running_answers, without_answer
from chat.admin.pages import CHANGE_LIMITS, SEE_USAGE, ledger_url, needs, note, show
from chat.limits import limiter
from chat.limits.messages import describe
from chat.limits.plans import rules_for, subject_of
from chat.limits.values import NEVER, Rule, RuleState
from chat.models import LIMIT_NAMES, LimitOverride, Plan, User
from chat.usage import reports
from chat.usage.reports import Span

SEE_PEOPLE = "chat.view_user"


@needs(SEE_USAGE, SEE_PEOPLE)
@require_safe
def allowance(request: HttpRequest, user_id: int) -> HttpResponse:
    person = get_object_or_404(User, pk=user_id)
    overrides = {row.rule: row for row in LimitOverride.objects.filter(user=person).active()}
    rules = rules_for(person)
    answers = running_answers(conversation__user=person)
    try:
        gauges = [_gauge(state, overrides) for state in limiter.peek_sync(subject_of(person), rules)]
        leases = limiter.leases_sync(subject_of(person))
        refusals = limiter.refusals_sync(subject_of(person))
    except errors.LimiterUnavailable:
        messages.error(request, _("Redis does not answer: what is used and held cannot be read right now."))
        gauges, leases, refusals = [], [], []
    month = reports.total(Span.last_days(30), user=person)
    return show(
        request,
        "allowance",
        _("Usage and limits of %(name)s") % {"name": person.get_username()},
        person=person,
        gauges=gauges,
        unlimited=[_NAMES.get(name, name) for name in LIMIT_NAMES if name not in {rule.name for rule in rules}],
        answers=answers,
        loose=[lease for lease in leases if lease.lease_id in without_answer([x.lease_id for x in leases], answers)],
        refusals=[_refusal(each, rules) for each in refusals],
        plans=_plans(person),
        overrides=overrides.values(),
        month={
            "cost": words.dollars(month.cost),
            "requests": words.count(month.requests),
            "tokens": words.count(month.tokens),
            "refusals": words.count(month.refusals),
        },
        ledger=ledger_url(person=str(person.pk)),
        at=timezone.now(),
    )


@needs(SEE_USAGE, SEE_PEOPLE, CHANGE_LIMITS)
@require_POST
def reset(request: HttpRequest, user_id: int) -> HttpResponse:
    """Gives back one limit, named by `rule`, or all."""
    person = get_object_or_404(User, pk=user_id)
    rule = request.POST.get("rule", "")
    if rule and rule not in LIMIT_NAMES:
        raise Http404
    try:
        limiter.reset_sync(subject_of(person), rule or None)
    except errors.LimiterUnavailable as error:
        messages.error(request, error.message)
    else:
        note(request, person, f"Reset the limit {rule}." if rule else "Reset all limits.")
        messages.success(request, _("What was used is given back."))
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
class Gauge:
    """One limit; `used_share` and `held_share` are percent, as SVG wants them."""

    rule: str
    words: str
    used: str
    held: str
    remaining: str
    resets: str
    waits: str
    used_share: str
    held_share: str
    full: bool
    override: LimitOverride | None


def _gauge(state: RuleState, overrides: Mapping[str, LimitOverride]) -> Gauge:
    rule = state.rule
    capacity = rule.capacity or 1
    used = min(state.used / capacity, 1) if rule.limit else 1.0
    held = min(state.held / capacity, 1 - used)
    return Gauge(
        rule=rule.name,
        words=describe(rule),
        used=_amount(rule, state.used),
        held=_amount(rule, state.held),
        remaining=_amount(rule, state.remaining),
        resets=words.span(state.resets_in) if state.resets_ms else "",
        waits=_waits(state.wait_ms),
        used_share=f"{used * 100:.1f}",
        held_share=f"{held * 100:.1f}",
        full=bool(state.wait_ms),
        override=overrides.get(rule.name),
    )


def _waits(wait_ms: int) -> str:
    if wait_ms == NEVER:
        return _("blocked")
    return words.span(wait_ms / 1000) if wait_ms else ""


def _amount(rule: Rule, value: int) -> str:
    return words.dollars(value) if rule.unit == "cost" else words.count(value)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    when: str
    times: int
    rules: str


def _refusal(past: limiter.PastRefusal, rules: tuple[Rule, ...]) -> Refusal:
    known = {rule.name: describe(rule) for rule in rules}
    return Refusal(
        when=words.ago(past.last, timezone.now()),
        times=past.times,
        rules=", ".join(known.get(name, name) for name in past.waits),
    )


def _plans(person: User) -> str:
    """The plans of the person's groups, or the default one."""
    names = list(Plan.objects.filter(groups__user=person).distinct().values_list("name", flat=True))
    names = names or list(Plan.objects.filter(is_default=True).values_list("name", flat=True))
    return ", ".join(names) or _("the limits the site came with")
