"""What every store of subjects' states can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from chat.limits import rules as pure
from chat.limits.periods import Periods
from chat.limits.values import Decision, Renewal, ReservationRequest, Rule, Settlement, State

KEY_PREFIX: Final = "rl:"
"""A state lies in the cache under this prefix and its subject."""
UNKNOWN_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})


class StoreDown(Exception):
    """The shared store cannot be reached right now."""


class Store(ABC):
    """Every call may raise `StoreDown`. A shared store is used by several processes; its calls may block."""

    is_shared = False

    def __init__(self, periods: Periods) -> None:
        self._periods = periods

    @property
    def is_failing(self) -> bool:
        return False

    @property
    def outages(self) -> int:
        """How often the store stopped working."""
        return 0

    @abstractmethod
    def reserve(
        self,
        subject: str,
        rules: Sequence[Rule],
        request: ReservationRequest,
        initial_counts: Mapping[str, int] = UNKNOWN_COUNTS,
    ) -> Decision: ...

    @abstractmethod
    def renew(self, renewals: Sequence[Renewal]) -> None: ...

    @abstractmethod
    def settle(self, subject: str, settlement: Settlement) -> bool: ...

    @abstractmethod
    def reset(self, subject: str, rule: str | None) -> None: ...

    @abstractmethod
    def read(self, subject: str) -> tuple[int, State]:
        """The store's time and the subject's state."""

    def peek(self, subject: str, rules: Sequence[Rule], initial_counts: Mapping[str, int] = UNKNOWN_COUNTS) -> Decision:
        """How much of each rule is used; changes nothing."""
        now, state = self.read(subject)
        return pure.peek(state, now, rules, edges=self._periods.at(now), initial_counts=initial_counts)
