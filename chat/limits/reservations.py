"""The reservations in a subject's state, as they are stored.

`limits.lua` calls a reservation a lease, `reported_…` a floor, `charged_…` paid and `counted_in` marks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chat.limits.values import State

RESERVATION_MS = 45_000
"""A reservation that is not renewed for this long expires."""
EXPIRED_KEPT_MS = 900_000
"""How long an expired reservation can still be settled."""
SETTLED_MS = 60_000
SETTLED_KEPT = 16


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """One running answer: what it may use, what it reported to have used, what was charged when it expired.

    `counted_in` has the fields of the counters it belongs to and, for each, the period or slot it was counted in.
    """

    expires: int
    created: int
    tokens: int = 0
    cost: int = 0
    reported_tokens: int = 0
    reported_cost: int = 0
    charged_tokens: int = 0
    charged_cost: int = 0
    counted_in: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Reservation:
        numbers, _, counted_in = text.partition("|")
        expires, created, tokens, cost, reported_tokens, reported_cost, charged_tokens, charged_cost = map(
            int, numbers.split()
        )
        return cls(
            expires=expires,
            created=created,
            tokens=tokens,
            cost=cost,
            reported_tokens=reported_tokens,
            reported_cost=reported_cost,
            charged_tokens=charged_tokens,
            charged_cost=charged_cost,
            counted_in={counter: int(at) for counter, _, at in (pair.partition("=") for pair in counted_in.split())},
        )

    def format(self) -> str:
        numbers = (
            f"{self.expires} {self.created} {self.tokens} {self.cost} {self.reported_tokens} {self.reported_cost} "
            f"{self.charged_tokens} {self.charged_cost}"
        )
        return f"{numbers}|{' '.join(f'{counter}={at}' for counter, at in self.counted_in.items())}"

    def due(self, counter: str, tokens: int, cost: int) -> int:
        """What is still to be charged to this counter when `tokens` and `cost` are the whole usage."""
        return max(0, tokens - self.charged_tokens) if counter[1] == "t" else max(0, cost - self.charged_cost)


def recently_settled(state: State, now: int) -> dict[str, int]:
    """Ids of reservations settled within the last minute: a late renewal must not create them again."""
    entries = (entry.partition(":") for entry in state.get("d", "").split())
    return {reservation_id: int(until) for until, _, reservation_id in entries if now < int(until) <= now + SETTLED_MS}
