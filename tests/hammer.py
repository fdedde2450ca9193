"""Processes that use the limiter as hard as they can."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import random
from collections.abc import Sequence
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from chat.limits.periods import Periods  # noqa: E402
from chat.limits.stores import Store, open_store  # noqa: E402
from chat.limits.values import Renewal, ReservationRequest, Rule, Settlement  # noqa: E402


def redis_caches(url: str, backend: str = "django_redis.cache.RedisCache") -> dict:
    """`CACHES` with the limiter in this Redis."""
    names = ("SOCKET_CONNECT_TIMEOUT", "SOCKET_TIMEOUT")
    if backend.startswith("django.core"):
        names = ("socket_connect_timeout", "socket_timeout")
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    options = dict.fromkeys(names, 0.25)
    return {"default": locmem, "ratelimit": {"BACKEND": backend, "LOCATION": url, "OPTIONS": options}}


def store_at(url: str) -> Store:
    from django.test import override_settings

    caches = redis_caches(url)
    caches["ratelimit"]["OPTIONS"] = dict.fromkeys(("SOCKET_CONNECT_TIMEOUT", "SOCKET_TIMEOUT"), 20)
    with override_settings(CACHES=caches):
        return open_store(Periods(dt.UTC))


_gate = None


def meet_at(gate) -> None:
    """Gives a pool's process the barrier where all wait for each other."""
    global _gate
    _gate = gate


def admitted(url: str, subject: str, rules: Sequence[Rule], tries: int, lasting: int = 0) -> list[int]:
    """The server's times of the admissions this process got, in so many tries and `lasting` milliseconds at least."""
    store, times = store_at(url), []
    _gate.wait()
    number, begun, now = 0, None, 0
    while number < tries or now - begun < lasting:
        request = ReservationRequest(reservation_id=f"{os.getpid()}-{number}", tokens=1, min_tokens=1)
        decision = store.reserve(subject, rules, request, {rule.name: 0 for rule in rules})
        number, now = number + 1, decision.now
        begun = begun or now
        if decision.allowed:
            times.append(now)
    return times


def answer_for_ever(url: str, subject: str, rules: Sequence[Rule], diary: str) -> None:
    """Reserves, renews and settles; writes down what it is about to do and what it has done."""
    store, dice, number = store_at(url), random.Random(), 0
    with Path(diary).open("a", buffering=1) as lines:
        while True:
            number += 1
            reservation_id, last, real = f"{os.getpid()}-{number}", dice.randrange(50), dice.randrange(100)
            request = ReservationRequest(reservation_id=reservation_id, tokens=100)
            lines.write(f"reserve {reservation_id} 0\n")
            store.reserve(subject, rules, request, {rule.name: 0 for rule in rules})
            lines.write(f"renew {reservation_id} {last}\n")
            store.renew(
                [Renewal(subject=subject, rules=tuple(rules), reservation_id=reservation_id, tokens=last, cost=0)]
            )
            lines.write(f"renewed {reservation_id} {last}\nsettle {reservation_id} {real}\n")
            store.settle(subject, Settlement(reservation_id=reservation_id, tokens=real, cost=0))
            lines.write(f"settled {reservation_id} {real}\n")


def processes():
    """Whose children share nothing with the test's process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.hammer"])
    return context
