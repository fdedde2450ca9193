"""The rules that apply to a user, a login name or an address, and the names of these subjects."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.limits.values import MAX_AMOUNT, Rule
from chat.models import LIMIT_NAMES, LimitOverride, Plan, User

DEFAULT_LIMITS: Mapping[str, int | None] = {
    "requests_per_minute": 20,
    "tokens_per_day": 2_000_000,
    "concurrent_answers": 5,
}
"""The limits where no plan is the default plan; the others are unlimited."""

LOGIN_NAME = Rule(name="login_name", kind="window", unit="request", limit=10, window=900)
LOGIN_ADDRESS = Rule(name="login_address", kind="window", unit="request", limit=30, window=900)
SIGNUP_ADDRESS = Rule(name="signup_address", kind="window", unit="request", limit=5, window=3600)

_SHAPES: Mapping[str, Mapping[str, Any]] = {
    # Bursts are allowed and the refill is gradual: at most twice the limit in the worst minute.
    "requests_per_minute": {"kind": "bucket", "unit": "request", "window": 60},
    "requests_per_day": {"kind": "calendar", "unit": "request", "period": "day"},
    # Never more in any minute, as providers count.
    "tokens_per_minute": {"kind": "window", "unit": "token", "window": 60},
    "tokens_per_day": {"kind": "calendar", "unit": "token", "period": "day"},
    "tokens_per_month": {"kind": "calendar", "unit": "token", "period": "month"},
    "cost_per_day": {"kind": "calendar", "unit": "cost", "period": "day"},
    "cost_per_month": {"kind": "calendar", "unit": "cost", "period": "month"},
    "concurrent_answers": {"kind": "concurrent", "unit": "answer"},
}


def subject_of(user: User) -> str:
    return f"user:{user.pk}"


def rules_for(user: User) -> tuple[Rule, ...]:
    """An override goes before the most generous plan of the user's groups, and that before the default plan."""
    plans = _PLANS(user=user.pk)
    of_groups = [plan for plan in plans if plan["of_group"]]
    return build(_most_generous(of_groups or plans) | dict(_OVERRIDES(user=user.pk, now=timezone.now())))


def _plans() -> QuerySet[Plan, dict[str, Any]]:
    """The default plan and those of a user's groups."""
    groups = Group.objects.filter(chat_plans=OuterRef("pk"), user=Parameter("user", models.IntegerField()))
    plans = Plan.objects.annotate(of_group=Exists(groups)).filter(Q(is_default=True) | Q(of_group=True))
    found: QuerySet[Plan, dict[str, Any]] = plans.values("of_group", *LIMIT_NAMES)
    return found


_PLANS = PreparedQuery(_plans)
_OVERRIDES = PreparedQuery(
    lambda: LimitOverride.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=Parameter("now", models.DateTimeField())),
        user_id=Parameter("user", models.IntegerField()),
    ).values_list("rule", "value")
)


def _most_generous(plans: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """For each limit the highest of these plans; None is unlimited."""
    if not plans:
        return dict(DEFAULT_LIMITS)
    limits: dict[str, int | None] = {}
    for name in LIMIT_NAMES:
        values = [plan[name] for plan in plans]
        limits[name] = None if None in values else max(values)
    return limits


def build(limits: Mapping[str, int | None]) -> tuple[Rule, ...]:
    """Rules from limits by name; None is no rule."""
    return tuple(_rule(name, value) for name in _SHAPES if (value := limits.get(name)) is not None)


@lru_cache(maxsize=1024)
def _rule(name: str, limit: int) -> Rule:
    """One object for all users: every running answer keeps its rules."""
    return Rule(name=name, limit=min(limit, MAX_AMOUNT), **_SHAPES[name])


def login_rules(subject: str) -> tuple[Rule, ...]:
    """For a login name (`login_subject`) or an address (`client_address`). A successful login is refunded."""
    return (LOGIN_NAME,) if subject.startswith("login:") else (LOGIN_ADDRESS,)


def signup_rules() -> tuple[Rule, ...]:
    """For an address that signs up, also with an invitation."""
    return (SIGNUP_ADDRESS,)


def login_subject(name: str) -> str:
    """A keyed hash, so that no login name reaches the cache. Spellings that the database treats as equal are one."""
    normal = unicodedata.normalize("NFKC", name[:256]).casefold().strip()
    return "login:" + salted_hmac("chat.limits.login", normal, algorithm="sha256").hexdigest()[:32]


def client_address(meta: Mapping[str, Any]) -> str:
    """`ip:<address>` of the client that reached the outermost of our `TRUSTED_PROXIES`, from `request.META`.

    Each trusted proxy appends the address it sees to `X-Forwarded-For`. The right-most entries are from them; what
    stands before may be forged. An IPv6 address counts as its /64 network.
    """
    proxies = settings.TRUSTED_PROXIES
    chain = [part.strip() for part in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
    chain.append(str(meta.get("REMOTE_ADDR") or ""))
    return "ip:" + (_network(chain[-min(proxies + 1, len(chain))]) or _network(chain[-1]) or "unknown")


def _network(text: str) -> str | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
