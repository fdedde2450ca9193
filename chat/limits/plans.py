"""Which rules bind whom: rows to rules, and the names that subjects go by."""

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

SHIPPED: Mapping[str, int | None] = {
    "requests_per_minute": 20,
    "tokens_per_day": 2_000_000,
    "concurrent_answers": 5,
}
"""What binds where no plan is the default one; the rest is unlimited."""

LOGIN_NAME = Rule(name="login_name", kind="window", unit="request", limit=10, window=900)
LOGIN_ADDRESS = Rule(name="login_address", kind="window", unit="request", limit=30, window=900)
SIGNUP_ADDRESS = Rule(name="signup_address", kind="window", unit="request", limit=5, window=3600)

_SHAPES: Mapping[str, Mapping[str, Any]] = {
    # Bursts are fine, the refill is gentle: at most twice the number in the worst minute.
    "requests_per_minute": {"kind": "bucket", "unit": "request", "window": 60},
    "requests_per_day": {"kind": "calendar", "unit": "request", "period": "day"},
    # Never more in any minute: what a provider counts too.
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
    """Override before the most generous of the groups' plans before the default plan."""
    plans = _PLANS(user=user.pk)
    own = [plan for plan in plans if plan["own"]]
    return build(_limits(own or plans) | dict(_OVERRIDES(user=user.pk, now=timezone.now())))


def _plans() -> QuerySet[Plan, dict[str, Any]]:
    """The default plan, and those of a person's groups, which are their `own`."""
    of_group = Group.objects.filter(chat_plans=OuterRef("pk"), user=Parameter("user", models.IntegerField()))
    plans = Plan.objects.annotate(own=Exists(of_group)).filter(Q(is_default=True) | Q(own=True))
    return plans.values("own", *LIMIT_NAMES)


_PLANS = PreparedQuery(_plans)
_OVERRIDES = PreparedQuery(
    lambda: LimitOverride.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=Parameter("now", models.DateTimeField())),
        user_id=Parameter("user", models.IntegerField()),
    ).values_list("rule", "value")
)


def _limits(plans: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    if not plans:
        return dict(SHIPPED)
    return {name: _most_generous([plan[name] for plan in plans]) for name in LIMIT_NAMES}


def _most_generous(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def build(limits: Mapping[str, int | None]) -> tuple[Rule, ...]:
    """Rules from limits by name; null is no rule."""
    return tuple(_rule(name, value) for name in _SHAPES if (value := limits.get(name)) is not None)


@lru_cache(maxsize=1024)
def _rule(name: str, limit: int) -> Rule:
    """One for all whom it binds: every running answer holds its rules."""
    return Rule(name=name, limit=min(limit, MAX_AMOUNT), **_SHAPES[name])


def login_rules(subject: str) -> tuple[Rule, ...]:
    """For a name (`login_subject`) or an address (`client_address`); success gives the request back."""
    return (LOGIN_NAME,) if subject.startswith("login:") else (LOGIN_ADDRESS,)


def signup_rules() -> tuple[Rule, ...]:
    """For an address; also for invitations."""
    return (SIGNUP_ADDRESS,)


def login_subject(name: str) -> str:
    """The name never reaches the cache; spellings the database takes for equal count as one."""
    normal = unicodedata.normalize("NFKC", name[:256]).casefold().strip()
    return "login:" + salted_hmac("chat.limits.login", normal, algorithm="sha256").hexdigest()[:32]


def client_address(meta: Mapping[str, Any], trusted_proxies: int | None = None) -> str:
    """`ip:<address>` of whoever reached our outermost trusted proxy, from `request.META`.

    Each trusted proxy appended the address it saw, so the right-most entries are ours
    and what stands before them is the client's own claim. IPv6 counts by /64.
    """
    proxies = settings.TRUSTED_PROXIES if trusted_proxies is None else trusted_proxies
    chain = [part.strip() for part in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",") if part.strip()]
    chain.append(str(meta.get("REMOTE_ADDR") or ""))
    return "ip:" + (_network(chain[-min(proxies + 1, len(chain))]) or _network(chain[-1]) or "unknown")


def scope_address(scope: Mapping[str, Any], trusted_proxies: int | None = None) -> str:
    """As `client_address`, from an ASGI scope."""
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    host = (scope.get("client") or ("",))[0]
    return client_address({"HTTP_X_FORWARDED_FOR": ",".join(forwarded), "REMOTE_ADDR": host}, trusted_proxies)


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
