"""Measure the limiter: decisions a second, latency and round trips, beside one call of the `limits` library.

    python -m benchmarks.limiter [--redis redis://127.0.0.1:6379/15] [--seconds 2]

All candidates take turns call by call in the same run, so compare the ratios. The reference is a single
fixed-window hit: no reservation and no second rule. Keys are created for the run and deleted after it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")


@dataclass
class Candidate:
    name: str
    call: Callable[[int], None]
    micros: list[float] = field(default_factory=list)
    round_trips: float = 0.0

    @property
    def p50(self) -> float:
        return statistics.median(self.micros)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.micros, n=100)[98]

    @property
    def per_second(self) -> float:
        return 1e6 / statistics.fmean(self.micros)


def rules_of(count: int):
    """1: a bucket. 4: also a strict window, a quota and the concurrency limit. 8: one for each column of a plan."""
    from chat.limits import plans
    from chat.models import LIMIT_NAMES

    names = {
        1: ("requests_per_minute",),
        4: ("requests_per_minute", "tokens_per_minute", "tokens_per_day", "concurrent_answers"),
        8: LIMIT_NAMES,
    }
    return plans.build(dict.fromkeys(names[count], 10**9))


def reserve(store, rules) -> Callable[[int], None]:
    """Only the decision. Settling the reservation is a candidate of its own."""
    from chat.limits.values import ReservationRequest

    subject, counts = f"ip:bench-{uuid.uuid4()}", {rule.name: 0 for rule in rules}

    def call(number: int) -> None:
        request = ReservationRequest(reservation_id=f"l{number}", tokens=1_000, cost=50)
        assert store.reserve(subject, rules, request, counts).allowed

    call.subject = subject
    return call


def settle(store, subject: str) -> Callable[[int], None]:
    from chat.limits.values import Settlement

    def call(number: int) -> None:
        assert store.settle(subject, Settlement(reservation_id=f"l{number}", tokens=700, cost=30))

    return call


def library_hit(storage) -> Callable[[int], None]:
    from limits import RateLimitItemPerMinute
    from limits.strategies import FixedWindowRateLimiter

    limiter, item, key = FixedWindowRateLimiter(storage), RateLimitItemPerMinute(10**9), f"bench-{uuid.uuid4()}"
    return lambda _number: limiter.hit(item, key) or None


def in_process() -> list[Candidate]:
    from django.core.cache.backends.locmem import LocMemCache
    from limits.storage import MemoryStorage

    from chat.limits.periods import Periods
    from chat.limits.stores import MemoryStore

    store = MemoryStore(LocMemCache("bench", {"OPTIONS": {"MAX_ENTRIES": 100_000}}), Periods(dt.UTC))
    return [Candidate("limits, 1 limit", library_hit(MemoryStorage())), *limiter_candidates(store)]


def on_redis(url: str) -> tuple[list[Candidate], Callable[[], None]]:
    import redis
    from django.test import override_settings
    from limits.storage import RedisStorage

    from chat.limits.periods import Periods
    from chat.limits.stores import open_store

    location = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "KEY_PREFIX": f"bench-{uuid.uuid4()}"}
    with override_settings(CACHES={"default": location}):
        store = open_store(Periods(dt.UTC))
    storage = RedisStorage(url, key_prefix=location["KEY_PREFIX"])
    client = redis.Redis.from_url(url)
    candidates = [Candidate("bare PING", lambda _number: client.ping() and None)]
    candidates += [Candidate("limits, 1 limit", library_hit(storage)), *limiter_candidates(store)]

    def clean() -> None:
        for key in client.scan_iter(f"*{location['KEY_PREFIX']}*"):
            client.delete(key)

    return candidates, clean


def limiter_candidates(store) -> list[Candidate]:
    """Reserve and settle with 1, 4 and 8 rules."""
    found = []
    for count in (1, 4, 8):
        call = reserve(store, rules_of(count))
        found += [
            Candidate(f"reserve, {count} rule{'s' * (count > 1)}", call),
            Candidate(f"  and settle, {count}", settle(store, call.subject)),
        ]
    return found


def measure(candidates: list[Candidate], seconds: float) -> None:
    number, end = 0, time.perf_counter() + seconds + 0.2
    while time.perf_counter() < end:
        number += 1
        for candidate in candidates:
            start = time.perf_counter()
            candidate.call(number)
            if number > 50:
                candidate.micros.append((time.perf_counter() - start) * 1e6)


def count_trips(candidates: list[Candidate], number: int = 10**9) -> None:
    """Count round trips: each packed command that is sent on a connection is one."""
    from redis.connection import AbstractConnection

    sent = 0
    original = AbstractConnection.send_packed_command

    def counting(self, *args, **kwargs):
        nonlocal sent
        sent += 1
        return original(self, *args, **kwargs)

    AbstractConnection.send_packed_command = counting
    try:
        for candidate in candidates:
            sent = 0
            for turn in range(20):
                candidate.call(number + turn)
            candidate.round_trips = sent / 20
    finally:
        AbstractConnection.send_packed_command = original


def table(title: str, candidates: list[Candidate]) -> None:
    reference = next(each for each in candidates if each.name.startswith("limits"))
    single = next(each for each in candidates if each.name.startswith("reserve, 1"))
    print(f"\n{title} ({len(reference.micros)} rounds)")
    print(f"{'':22}{'p50 µs':>9}{'p99 µs':>9}{'per s':>9}{'trips':>7}{'× limits':>10}{'× 1 rule':>10}")
    for each in candidates:
        trips = f"{each.round_trips:g}"
        print(
            f"{each.name:22}{each.p50:9.1f}{each.p99:9.1f}{each.per_second:9.0f}{trips:>7}"
            f"{each.p50 / reference.p50:10.2f}{each.p50 / single.p50:10.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/15")
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()

    import django
    import redis

    django.setup()
    candidates = in_process()
    measure(candidates, options.seconds)
    table("In process", candidates)
    try:
        redis.Redis.from_url(options.redis, socket_timeout=1, retry=None).ping()
    except redis.RedisError:
        print(f"\nNo Redis at {options.redis}: skipped.")
        return
    candidates, clean = on_redis(options.redis)
    try:
        measure(candidates, options.seconds)
        count_trips(candidates)
    finally:
        clean()
    table("On Redis", candidates)


if __name__ == "__main__":
    main()
