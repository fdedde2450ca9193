"""States in the memory of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from django.core.cache.backends.base import BaseCache

from chat.limits import rules as pure
from chat.limits.periods import Periods
from chat.limits.reservations import EXPIRED_KEPT_MS
from chat.limits.stores.base import KEY_PREFIX, UNKNOWN_COUNTS, Store
from chat.limits.values import Decision, Renewal, ReservationRequest, Rule, Settlement, State

T = TypeVar("T")


class MemoryStore(Store):
    """Reads, decides and writes under one lock. Only correct where no other process uses the cache."""

    def __init__(self, cache: BaseCache, periods: Periods) -> None:
        super().__init__(periods)
        self._cache = cache
        self._lock = threading.Lock()

    def reserve(
        self,
        subject: str,
        rules: Sequence[Rule],
        request: ReservationRequest,
        initial_counts: Mapping[str, int] = UNKNOWN_COUNTS,
    ) -> Decision:
        return self._update(
            subject,
            lambda state, now: pure.decide(
                state, now, rules, request, edges=self._periods.at(now), initial_counts=initial_counts
            ),
        )

    def renew(self, renewals: Sequence[Renewal]) -> None:
        for each in renewals:
            self._update(each.subject, partial(self._renewed, each))

    def _renewed(self, renewal: Renewal, state: State, now: int) -> tuple[State, None]:
        return pure.renew(state, now, renewal, edges=self._periods.at(now)), None

    def settle(self, subject: str, settlement: Settlement) -> bool:
        return self._update(subject, lambda state, now: pure.settle(state, now, settlement))

    def reset(self, subject: str, rule: str | None) -> None:
        self._update(subject, lambda state, now: (pure.reset(state, now, rule), None))

    def forget_calendar_counts(self, subject: str) -> None:
        """The next decision needs their initial counts again."""
        self._update(
            subject, lambda state, _now: ({name: text for name, text in state.items() if name[0] != "c"}, None)
        )

    def read(self, subject: str) -> tuple[int, State]:
        return int(time.time() * 1000), self._cache.get(KEY_PREFIX + subject) or {}

    def _update(self, subject: str, change: Callable[[State, int], tuple[State, T]]) -> T:
        with self._lock:
            now, before = self.read(subject)
            after, result = change(before, now)
            if after != before:
                timeout = int(after.get("ttl", EXPIRED_KEPT_MS)) / 1000
                self._cache.set(KEY_PREFIX + subject, after, timeout=timeout)
            return result
