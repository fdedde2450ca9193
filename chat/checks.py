"""System checks of the limiter's cache: what is set up wrongly is named at start, with the line that corrects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import redis
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.core.checks import Warning as CheckWarning
from django_redis.cache import RedisCache

from chat.limits.stores import cache_alias
from chat.limits.stores.redis import eviction_policy

ENOUGH_ENTRIES = 10_000
DJANGO_DEFAULT_ENTRIES = 300
"""https://docs.djangoproject.com/en/stable/ref/settings/#caches-options"""


@register(Tags.caches)
def check_limiter_cache(app_configs: object, **kwargs: object) -> Sequence[CheckMessage]:
    alias = cache_alias()
    cache, options = caches[alias], settings.CACHES[alias].get("OPTIONS", {})
    if isinstance(cache, DummyCache):
        return [_error("E001", alias, "stores nothing, so nobody is limited")]
    if isinstance(cache, LocMemCache):
        return _check_entries(alias, options)
    if isinstance(cache, RedisCache | DjangoRedisCache):
        return _check_redis_options(alias, options)
    return [_error("E002", alias, "cannot decide and count in one step")]


def _error(number: str, alias: str, why: str) -> Error:
    hint = "Use LocMemCache with one server process, or django-redis."
    return Error(f"The limiter's cache {alias!r} {why}.", hint=hint, id=f"chat.{number}")


def _check_entries(alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
    entries = int(options.get("MAX_ENTRIES", DJANGO_DEFAULT_ENTRIES))
    if entries >= ENOUGH_ENTRIES:
        return []
    return [
        CheckWarning(
            f"The limiter's cache {alias!r} keeps {entries} entries and drops a third when it is full.",
            hint=f"CACHES[{alias!r}]['OPTIONS']['MAX_ENTRIES'] = 100_000",
            id="chat.W001",
        )
    ]


def _check_redis_options(alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    given = {key.lower(): value for key, value in options.items()}
    if not given.get("socket_timeout") or not given.get("socket_connect_timeout"):
        found.append(
            CheckWarning(
                f"The limiter's cache {alias!r} has no socket timeouts: if Redis hangs, every message waits for it.",
                hint=f"CACHES[{alias!r}]['OPTIONS']: SOCKET_TIMEOUT and SOCKET_CONNECT_TIMEOUT, 0.25 each.",
                id="chat.W002",
            )
        )
    if given.get("ignore_exceptions") or getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False):
        found.append(
            CheckWarning(
                f"IGNORE_EXCEPTIONS on {alias!r} does not let messages through when Redis is down.",
                hint="LIMITER_WHEN_DOWN says what happens then; remove IGNORE_EXCEPTIONS from this cache.",
                id="chat.W003",
            )
        )
    return found


@register(Tags.caches, deploy=True)
def check_limiter_deployment(app_configs: object, **kwargs: object) -> Sequence[CheckMessage]:
    alias = cache_alias()
    if isinstance(caches[alias], LocMemCache) and not settings.DEBUG:
        return [
            Info(
                f"The limiter's cache {alias!r} counts in this process only.",
                hint="Serve with one process, or set REDIS_URL.",
                id="chat.I004",
            )
        ]
    if isinstance(caches[alias], RedisCache | DjangoRedisCache):
        return _check_eviction(alias)
    return []


def _check_eviction(alias: str) -> list[CheckMessage]:
    try:
        policy = eviction_policy(alias)
    except redis.RedisError:
        return []
    if not policy.startswith("allkeys"):
        return []
    return [
        CheckWarning(
            f"The Redis of {alias!r} may evict any key ({policy}): limits are forgotten when memory is full.",
            hint="maxmemory-policy noeviction or volatile-ttl, or a Redis of its own for limits.",
            id="chat.W005",
        )
    ]
