"""Running answers in a record: what each holds, and what becomes of it when nobody renews it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chat.limits.counters import add, pull_back
from chat.limits.values import State

LEASE_MS = 45_000
SETTLED_MS = 60_000
SETTLED = 16
SWEPT_MS = 900_000


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """One running answer: what it holds, what it has reported, what was charged for it when it expired.

    `marks` name the counters it belongs to and, for each, the period or slot it was counted in.
    """

    until: int
    created: int
    tokens: int = 0
    cost: int = 0
    floor_tokens: int = 0
    floor_cost: int = 0
    paid_tokens: int = 0
    paid_cost: int = 0
    marks: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Reservation:
        numbers, _, marks = text.partition("|")
        until, created, tokens, cost, floor_tokens, floor_cost, paid_tokens, paid_cost = map(int, numbers.split())
        return cls(
            until=until,
            created=created,
            tokens=tokens,
            cost=cost,
            floor_tokens=floor_tokens,
            floor_cost=floor_cost,
            paid_tokens=paid_tokens,
            paid_cost=paid_cost,
            marks={name: int(value) for name, _, value in (mark.partition("=") for mark in marks.split())},
        )

    def dump(self) -> str:
        numbers = (
            f"{self.until} {self.created} {self.tokens} {self.cost} "
            f"{self.floor_tokens} {self.floor_cost} {self.paid_tokens} {self.paid_cost}"
        )
        return f"{numbers}|{' '.join(f'{name}={value}' for name, value in self.marks.items())}"

    def held(self, unit: str) -> int:
        return self.tokens if unit == "t" else self.cost

    def due(self, unit: str, tokens: int, cost: int) -> int:
        """What is still to be charged when `tokens` and `cost` are the whole."""
        return max(0, tokens - self.paid_tokens) if unit == "t" else max(0, cost - self.paid_cost)


def begin(state: State, lease_id: str, lease: Reservation) -> None:
    state[f"l:{lease_id}"] = lease.dump()
    state.pop(f"s:{lease_id}", None)


def live_leases(state: State, now: int) -> dict[str, Reservation]:
    return sweep(dict(state), now)


def sweep(state: State, now: int) -> dict[str, Reservation]:
    """Charges expired leases what they last reported; returns the live ones.

    After a step back of the clock nothing may stay longer than if it had been written now.
    """
    leases = {}
    for name in [name for name in state if name[0] in "bw"]:
        pull_back(state, name, now)
    for name in sorted(name for name in state if name[:2] in ("l:", "s:")):
        lease = Reservation.parse(state[name])
        longest = now + (LEASE_MS if name[0] == "l" else SWEPT_MS)
        if lease.until > longest:
            lease = replace(lease, until=longest)
            state[name] = lease.dump()
        if lease.until <= now:
            _expire(state, name, lease, now)
        elif name[0] == "l":
            leases[name[2:]] = lease
    return leases


def _expire(state: State, name: str, lease: Reservation, now: int) -> None:
    del state[name]
    if name[0] == "s":
        return
    for counter, mark in lease.marks.items():
        if counter[1] != "r":
            add(state, counter, mark, lease.due(counter[1], lease.floor_tokens, lease.floor_cost), lease.until)
    swept = replace(lease, until=now + SWEPT_MS, paid_tokens=lease.floor_tokens, paid_cost=lease.floor_cost)
    state[f"s:{name[2:]}"] = swept.dump()


def recently_settled(state: State, now: int) -> dict[str, int]:
    """Leases settled within the last minute: a heartbeat that comes late must not bring them back."""
    pairs = (entry.partition(":") for entry in state.get("d", "").split())
    return {lease_id: int(until) for until, _, lease_id in pairs if now < int(until) <= now + SETTLED_MS}


def note_settled(state: State, now: int, lease_id: str) -> None:
    recent = recently_settled(state, now)
    recent.pop(lease_id, None)
    recent[lease_id] = now + SETTLED_MS
    state["d"] = " ".join([f"{until}:{lease_id}" for lease_id, until in recent.items()][-SETTLED:])
