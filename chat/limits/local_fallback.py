"""The limits of this process while the shared store is down: its part of what all processes may use together."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.core.cache.backends.locmem import LocMemCache

from chat.limits import ledger
from chat.limits.periods import Periods
from chat.limits.stores import MemoryStore
from chat.limits.values import Decision, Renewal, ReservationRequest, Rule

RECOUNT_SECONDS = 30.0


class LocalFallback:
    """Decides in memory. `unannounced` are the reservations granted here that the shared store does not know yet."""

    def __init__(self, periods: Periods) -> None:
        self.store = MemoryStore(LocMemCache(f"limits-{uuid.uuid4()}", {"OPTIONS": {"MAX_ENTRIES": 100_000}}), periods)
        self.unannounced: dict[str, Renewal] = {}
        self.was_used = False
        self._periods = periods
        self._lock = threading.Lock()
        self._processes = 1
        self._counted_at = -RECOUNT_SECONDS
        self._outage = 0
        self._counted_in_outage: set[str] = set()

    def reserve(self, subject: str, rules: Sequence[Rule], request: ReservationRequest, outage: int) -> Decision:
        """`outage` is the number of the present outage of the shared store. Raises `DatabaseUnavailable`."""
        self._prepare(subject, outage)
        decision = ledger.decide_with_counts(
            subject,
            rules,
            self._periods,
            lambda counts: self.store.reserve(subject, self._share(rules), request, self._share_left(rules, counts)),
        )
        if decision.allowed:
            self.unannounced[request.reservation_id] = Renewal(
                subject=subject, rules=tuple(rules), reservation_id=request.reservation_id, tokens=0, cost=0
            )
        return decision

    def peek(self, subject: str, rules: Sequence[Rule], outage: int) -> Decision:
        """As `reserve`, but changes nothing."""
        self._prepare(subject, outage)
        return ledger.decide_with_counts(
            subject,
            rules,
            self._periods,
            lambda counts: self.store.peek(subject, self._share(rules), self._share_left(rules, counts)),
        )

    def _prepare(self, subject: str, outage: int) -> None:
        """What an earlier outage counted in calendar counters is out of date: the ledger has more."""
        with self._lock:
            self.was_used = True
            if time.monotonic() - self._counted_at >= RECOUNT_SECONDS:
                self._processes = ledger.count_server_processes()
                self._counted_at = time.monotonic()
            if outage != self._outage:
                self._outage, self._counted_in_outage = outage, set()
            if subject not in self._counted_in_outage:
                self._counted_in_outage.add(subject)
                self.store.forget_calendar_counts(subject)

    def _share(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """Rates divided by the number of processes, at least 1. Calendar limits stay whole, see `_share_left`."""
        return tuple(self._part(rule) if not rule.period and rule.limit else rule for rule in rules)

    def _part(self, rule: Rule) -> Rule:
        burst = max(1, rule.burst // self._processes) if rule.burst else 0
        return replace(rule, limit=max(1, rule.limit // self._processes), burst=burst)

    def _share_left(self, rules: Sequence[Rule], counts: Mapping[str, int]) -> dict[str, int]:
        """Higher counts, which leave only this process's part of what is really left."""
        limits = {rule.name: rule.limit for rule in rules}
        return {name: limits[name] - max(0, limits[name] - used) // self._processes for name, used in counts.items()}
