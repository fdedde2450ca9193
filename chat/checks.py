"""System checks: wrong set-ups are named at start, with the line that mends them."""

from __future__ import annotations

from collections.abc import Sequence
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

from chat.limits.stores import alias, eviction_policy

ENOUGH_ENTRIES = 10_000


@register(Tags.caches)
def check_limiter_cache(app_configs: object, **kwargs: object) -> Sequence[CheckMessage]:
    name = alias()
    cache = caches[name]
    if isinstance(cache, DummyCache):
        return [_error("E001", name, "forgets everything, so nobody is limited")]
    if isinstance(cache, LocMemCache):
        return _check_entries(name, cache)
    if isinstance(cache, RedisCache | DjangoRedisCache):
        return _check_redis_options(name, settings.CACHES[name].get("OPTIONS", {}))
    return [_error("E002", name, "cannot decide and count in one step")]


def _error(number: str, name: str, why: str) -> Error:
    hint = "Use LocMemCache with one server process, or django-redis."
    return Error(f"The limiter's cache {name!r} {why}.", hint=hint, id=f"chat.{number}")


def _check_entries(name: str, cache: Any) -> list[CheckMessage]:
    if cache._max_entries >= ENOUGH_ENTRIES:
        return []
    return [
        CheckWarning(
            f"The limiter's cache {name!r} keeps {cache._max_entries} entries and drops a third when it is full.",
            hint=f"CACHES[{name!r}]['OPTIONS']['MAX_ENTRIES'] = 100_000",
            id="chat.W001",
        )
    ]


def _check_redis_options(name: str, options: dict[str, Any]) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    given = {key.lower(): value for key, value in options.items()}
    if not given.get("socket_timeout") or not given.get("socket_connect_timeout"):
        found.append(
            CheckWarning(
                f"The limiter's cache {name!r} has no socket timeouts: a Redis that hangs holds every message up.",
                hint=f"CACHES[{name!r}]['OPTIONS']: SOCKET_TIMEOUT and SOCKET_CONNECT_TIMEOUT, 0.25 each.",
                id="chat.W002",
            )
        )
    if given.get("ignore_exceptions") or getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", False):
        found.append(
            CheckWarning(
                f"IGNORE_EXCEPTIONS on {name!r} does not open the limiter when Redis is down.",
                hint="LIMITER_WHEN_DOWN says what happens then; remove IGNORE_EXCEPTIONS from this cache.",
                id="chat.W003",
            )
        )
    return found


@register(Tags.caches, deploy=True)
def check_limiter_deployment(app_configs: object, **kwargs: object) -> Sequence[CheckMessage]:
    name = alias()
    if isinstance(caches[name], LocMemCache) and not settings.DEBUG:
        return [
            Info(
                f"The limiter's cache {name!r} counts in this process only.",
                hint="Serve with one process, or set REDIS_URL.",
                id="chat.I004",
            )
        ]
    if isinstance(caches[name], RedisCache | DjangoRedisCache):
        return _check_eviction(name)
    return []


def _check_eviction(name: str) -> list[CheckMessage]:
    try:
        policy = eviction_policy(caches[name])
    except redis.RedisError:
        return []
    if not policy.startswith("allkeys"):
        return []
    return [
        CheckWarning(
            f"The Redis of {name!r} may evict any key ({policy}): limits are forgotten when memory runs short.",
            hint="maxmemory-policy noeviction or volatile-ttl, or a Redis of its own for limits.",
            id="chat.W005",
        )
    ]
