"""This process's own share of the limits while the shared store is down."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.core.cache.backends.locmem import LocMemCache

from chat.limits import ledger
from chat.limits.stores import LockStore, Renewal
from chat.limits.values import Rule

RECOUNT_SECONDS = 30.0


class Fallback:
    """`taken` are the leases granted here, which the shared store has yet to hear of."""

    def __init__(self) -> None:
        self.store = LockStore(LocMemCache(f"limits-{uuid.uuid4()}", {"OPTIONS": {"MAX_ENTRIES": 100_000}}))
        self.taken: dict[str, Renewal] = {}
        self.used = False
        self.processes = 1
        self._counted_at = -RECOUNT_SECONDS
        self._outage = 0
        self._seeded: set[str] = set()

    def must_recount(self) -> bool:
        return time.monotonic() - self._counted_at >= RECOUNT_SECONDS

    def recount(self) -> None:
        """Asks the database how many processes share the limits."""
        self.processes = ledger.server_processes()
        self._counted_at = time.monotonic()

    def enter(self, subject: str, outage: int) -> None:
        """What an earlier outage counted by the calendar is out of date: the ledger knows more."""
        self.used = True
        if outage != self._outage:
            self._outage, self._seeded = outage, set()
        if subject not in self._seeded:
            self._seeded.add(subject)
            self.store.forget_quotas(subject)

    def share(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """Rates divided by the processes, at least one; quotas stay whole, see `share_left`."""
        return tuple(self._part(rule) if not rule.period and rule.limit else rule for rule in rules)

    def _part(self, rule: Rule) -> Rule:
        burst = max(1, rule.burst // self.processes) if rule.burst else 0
        return replace(rule, limit=max(1, rule.limit // self.processes), burst=burst)

    def share_left(self, rules: Sequence[Rule], seeds: Mapping[str, int]) -> dict[str, int]:
        """Raises the used amounts so that only this process's part of what is left remains."""
        limits = {rule.name: rule.limit for rule in rules}
        return {name: limits[name] - max(0, limits[name] - used) // self.processes for name, used in seeds.items()}
