"""Where subjects' records live: the Django cache, under a lock in process or by one script in Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.core.cache.backends.base import BaseCache

from chat.limits import rules as pure
from chat.limits.rules import Decision, Edges, Period, Request, Rule, State

EdgesAt = Callable[[int], Mapping[Period, Edges]]


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The heartbeat of one lease: its usage so far."""

    subject: str
    rules: tuple[Rule, ...]
    lease_id: str
    tokens: int
    cost: int


class Store(Protocol):
    remote: bool

    def reserve(
        self, subject: str, rules: Sequence[Rule], request: Request, edges: EdgesAt, seeds: Mapping[str, int]
    ) -> Decision: ...

    def renew(self, renewals: Sequence[Renewal], edges: EdgesAt) -> None: ...

    def settle(self, subject: str, *, lease_id: str, tokens: int, cost: int, refund_request: bool) -> bool: ...

    def read(self, subject: str) -> tuple[int, State]: ...

    def reset(self, subject: str, rule: str | None) -> None: ...


def key_of(subject: str) -> str:
    return f"rl:{subject}"


def alias() -> str:
    return "ratelimit" if "ratelimit" in settings.CACHES else "default"


def present_ms() -> int:
    return int(time.time() * 1000)


class LockStore:
    """Read, decide and write under one lock of this process; correct only where no other process shares the cache."""

    remote = False

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    def reserve(
        self, subject: str, rules: Sequence[Rule], request: Request, edges: EdgesAt, seeds: Mapping[str, int]
    ) -> Decision:
        with self._lock:
            now, state = self.read(subject)
            after, decision = pure.decide(state, now, rules, request, edges=edges(now), seeds=seeds)
            self._write(subject, state, after)
            return decision

    def renew(self, renewals: Sequence[Renewal], edges: EdgesAt) -> None:
        for each in renewals:
            with self._lock:
                now, state = self.read(each.subject)
                after = pure.renew(
                    state,
                    now,
                    each.rules,
                    lease_id=each.lease_id,
                    tokens=each.tokens,
                    cost=each.cost,
                    edges=edges(now),
                )
                self._write(each.subject, state, after)

    def settle(self, subject: str, *, lease_id: str, tokens: int, cost: int, refund_request: bool) -> bool:
        with self._lock:
            now, state = self.read(subject)
            after, settled = pure.settle(
                state, now, lease_id=lease_id, tokens=tokens, cost=cost, refund_request=refund_request
            )
            self._write(subject, state, after)
            return settled

    def read(self, subject: str) -> tuple[int, State]:
        return present_ms(), self._cache.get(key_of(subject)) or {}

    def reset(self, subject: str, rule: str | None) -> None:
        with self._lock:
            now, state = self.read(subject)
            self._write(subject, state, pure.reset(state, now, rule))

    def _write(self, subject: str, before: State, after: State) -> None:
        if after != before:
            self._cache.set(key_of(subject), after, timeout=int(after.get("ttl", pure.SWEPT_MS)) / 1000)
