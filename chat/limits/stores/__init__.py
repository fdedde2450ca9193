"""Where subjects' states are stored: `memory` in one process, `redis` for any number of them.

`open_store` opens the one for the configured cache.
"""

from __future__ import annotations

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django_redis.cache import RedisCache

from chat.limits.periods import Periods
from chat.limits.stores.base import Store, StoreDown
from chat.limits.stores.memory import MemoryStore
from chat.limits.stores.redis import RedisStore

__all__ = ["MemoryStore", "RedisStore", "Store", "StoreDown", "cache_alias", "open_store"]


def cache_alias() -> str:
    """The cache that keeps the states."""
    return "ratelimit" if "ratelimit" in settings.CACHES else "default"


def open_store(periods: Periods) -> Store:
    alias = cache_alias()
    if isinstance(caches[alias], RedisCache | DjangoRedisCache):
        return RedisStore(alias, periods)
    return MemoryStore(caches[alias], periods)
