"""A limit in words and in response headers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.errors import ChatError, LimitExceeded
from chat.infra.formatting import dollars, number
from chat.limits.values import Rule, RuleState, wait_seconds


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that refused; `wait` in seconds, None if waiting does not help."""

    rule: Rule
    wait: int | None
    limit: int
    used: int

    @property
    def name(self) -> str:
        return self.rule.name


def limit_exceeded(subject: str, refused: Sequence[RuleState]) -> LimitExceeded:
    """The error for a request that these rules refused."""
    violations = [
        Violation(rule=each.rule, wait=wait_seconds(each.wait_ms), limit=each.rule.limit, used=each.used)
        for each in refused
    ]
    waits = [each.wait for each in violations]
    retry_after = None if None in waits else max(wait for wait in waits if wait is not None)
    if retry_after is not None and any(each.rule.period and each.wait == retry_after for each in violations):
        retry_after += random.randrange(4)  # noqa: S311  spreads the retries of all who wait for the same midnight
    message = _refusal(subject, violations, retry_after)
    return LimitExceeded(message, retry_after=retry_after, violations=violations)


def _refusal(subject: str, violations: Sequence[Violation], retry_after: int | None) -> str:
    """The sentence of a refusal: the limit with the longest wait, and that wait. `retry_after` is in seconds."""
    worst = max(violations, key=lambda each: float("inf") if each.wait is None else each.wait)
    if worst.wait is None or retry_after is None:
        return _no_use_waiting(subject, worst.rule)
    when = _duration(retry_after)
    if not subject.startswith("user:"):
        return _("Too many attempts. Try again in %(when)s.") % {"when": when}
    if worst.rule.kind == "concurrent":
        running = ngettext(
            "You already have %(count)d answer running.", "You already have %(count)d answers running.", worst.used
        ) % {"count": worst.used}
        return running + " " + _("Wait for an answer or stop one, or try again in %(when)s.") % {"when": when}
    return _("You have reached your limit of %(limit)s. Try again in %(when)s.") % {
        "limit": describe(worst.rule),
        "when": when,
    }


def _no_use_waiting(subject: str, rule: Rule) -> str:
    if not subject.startswith("user:"):
        return _("This is not open to you.")
    if rule.limit == 0:
        return _("Your plan does not allow sending messages (%(limit)s).") % {"limit": describe(rule)}
    return _("This message needs more than your limit of %(limit)s allows. Send a shorter one.") % {
        "limit": describe(rule)
    }


def describe(rule: Rule) -> str:
    """A limit in words: 20 messages per minute."""
    limit = amount(rule, rule.limit)
    if rule.unit == "answer":
        return ngettext("%(count)s answer at the same time", "%(count)s answers at the same time", rule.limit) % {
            "count": limit
        }
    if rule.unit == "token":
        limit = ngettext("%(count)s token", "%(count)s tokens", rule.limit) % {"count": limit}
    elif rule.unit == "request":
        limit = ngettext("%(count)s message", "%(count)s messages", rule.limit) % {"count": limit}
    return _("%(amount)s per %(period)s") % {"amount": limit, "period": _period(rule)}


def amount(rule: Rule, value: int) -> str:
    """A number in the unit of the rule: 12,000 or $1.50."""
    return dollars(value) if rule.unit == "cost" else number(value)


def _period(rule: Rule) -> str:
    named = {60: _("minute"), 3600: _("hour"), 86_400: _("day"), 2_592_000: _("month")}
    return named.get(rule.length) or ngettext("%(count)d second", "%(count)d seconds", rule.length) % {
        "count": rule.length
    }


def _duration(seconds: int) -> str:
    exact = ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < 120:
        return exact
    hours, minutes = divmod(seconds // 60, 60)
    about = _("%(hours)d h %(minutes)d min") if hours else _("%(minutes)d min")
    return f"{exact} ({about % {'hours': hours, 'minutes': minutes}})"


def headers(source: Sequence[RuleState] | ChatError) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, the tightest rule first, and for an error `Retry-After`.

    Structured fields of draft-ietf-httpapi-ratelimit-headers: `q` quota, `w` window in seconds, `r` remaining, `t`
    seconds until nothing is used.
    """
    if isinstance(source, ChatError):
        fields = _refusal_headers(source) if isinstance(source, LimitExceeded) else {}
        return fields if source.retry_after is None else fields | {"Retry-After": str(source.retry_after)}
    if not source:
        return {}
    ordered = sorted(source, key=lambda state: -state.share)
    fields = {
        "RateLimit-Policy": ", ".join(_policy(state.rule) for state in ordered),
        "RateLimit": ", ".join(f'"{s.rule.name}";r={s.remaining};t={s.resets_in}' for s in ordered),
    }
    if tokens := next((state for state in ordered if state.rule.unit == "token"), None):
        fields["x-ratelimit-limit-tokens"] = str(tokens.rule.limit)
        fields["x-ratelimit-remaining-tokens"] = str(tokens.remaining)
        fields["x-ratelimit-reset-tokens"] = f"{tokens.resets_in}s"
    return fields


def _refusal_headers(error: LimitExceeded) -> dict[str, str]:
    violations = [each for each in error.violations if isinstance(each, Violation)]
    if not violations:
        return {}
    ordered = sorted(violations, key=lambda each: (each.wait is not None, -(each.wait or 0)))
    return {
        "RateLimit-Policy": ", ".join(_policy(each.rule) for each in ordered),
        "RateLimit": ", ".join(
            f'"{each.rule.name}";r=0' + ("" if each.wait is None else f";t={each.wait}") for each in ordered
        ),
    }


def _policy(rule: Rule) -> str:
    unit = {"request": "requests", "token": "tokens", "cost": "micro-dollars", "answer": "concurrent-requests"}
    window = f";w={rule.length}" if rule.length else ""
    return f'"{rule.name}";q={rule.limit};qu="{unit[rule.unit]}"{window}'
