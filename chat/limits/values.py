"""What goes into a decision and what comes out of it.

Times are milliseconds since the epoch, costs micro-dollars; every number is an
integer below 2**53, which Lua can hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

Kind = Literal["bucket", "window", "calendar", "concurrent"]
Unit = Literal["request", "token", "cost", "answer"]
Period = Literal["day", "month"]
State: TypeAlias = dict[str, str]
"""A subject's whole record; its fields are listed in `chat.limits.rules`."""
Edges: TypeAlias = tuple[int, int, int]
"""Start and end of the present period and end of the next one."""

SLOTS = 20
MAX_AMOUNT = 10**15 - 1
NEVER = -1
UNKNOWN = -1
"""A seed that the ledger has to be asked for."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One limit. `limit` 0 blocks.

    bucket: `limit` requests per `window` seconds, up to `burst` at once.
    window: never more than `limit` in any `window` seconds.
    calendar: `limit` per `period` of the site's time zone.
    concurrent: `limit` live leases.
    """

    name: str
    kind: Kind
    unit: Unit
    limit: int
    window: int = 0
    period: Period | None = None
    burst: int = 0
    refundable: bool = True

    def __post_init__(self) -> None:
        if not self.name.replace("_", "").isalnum() or not self.name.isascii():
            raise ValueError(f"rule name {self.name!r} is not an identifier")
        if not 0 <= self.limit <= MAX_AMOUNT:
            raise ValueError(f"{self.name}: limit out of range")
        if (self.kind == "bucket") > (self.unit == "request") or (self.kind == "concurrent") != (self.unit == "answer"):
            raise ValueError(f"{self.name}: a {self.kind} cannot count {self.unit}")
        if (self.kind in ("bucket", "window")) != (self.window > 0) or (self.kind == "calendar") != bool(self.period):
            raise ValueError(f"{self.name}: a {self.kind} needs its own length")
        if self.capacity * self.window_ms >= 2**53 and self.kind == "bucket":
            raise ValueError(f"{self.name}: burst out of range")

    @cached_property
    def field(self) -> str:
        return f"{self.kind[0] if self.kind != 'concurrent' else 'a'}{self.unit[0]}:{self.name}"

    @property
    def capacity(self) -> int:
        """The most that can be granted at once."""
        return (self.burst or self.limit) if self.kind == "bucket" and self.limit else self.limit

    @property
    def window_ms(self) -> int:
        return self.window * 1000

    @property
    def slot_ms(self) -> int:
        return self.window_ms // SLOTS

    @property
    def length(self) -> int:
        """Nominal seconds of the window or period; 0 for concurrent."""
        return {"day": 86_400, "month": 2_592_000}[self.period] if self.period else self.window


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one answer may take at most; `min_tokens` is the least that still makes sense."""

    lease_id: str
    tokens: int = 0
    cost: int = 0
    min_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.lease_id or set(self.lease_id) & set(" :|"):
            raise ValueError("a lease id has no blanks, colons or bars")

    def need(self, unit: Unit) -> int:
        """The least that has to be free for a grant."""
        if unit == "token":
            return min(self.tokens, self.min_tokens)
        if unit == "cost":
            return self.cost if self.tokens <= self.min_tokens else self.cost_of(self.min_tokens)
        return 1

    def cost_of(self, tokens: int) -> int:
        """In proportion, rounded up; in floats, as Lua does it."""
        return math.ceil(float(self.cost) * tokens / self.tokens)

    def tokens_for(self, cost: int) -> int:
        return math.floor(float(cost) * self.tokens / self.cost)


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """Where one rule stands. `wait_ms` 0 lets the request through, `NEVER` means that waiting does not help.

    `held` is what running answers may still take; `resets_ms` is the time until nothing is used.
    """

    rule: Rule
    used: int
    held: int
    wait_ms: int
    resets_ms: int

    @property
    def limit(self) -> int:
        return self.rule.limit

    @property
    def remaining(self) -> int:
        return max(0, self.rule.capacity - self.used - self.held)

    @property
    def resets_in(self) -> int:
        """Seconds, rounded up."""
        return -(-self.resets_ms // 1000)

    @property
    def share(self) -> float:
        """Used and held, 0 to 1 (a blocked rule is full)."""
        return min(1.0, (self.used + self.held) / self.rule.capacity) if self.rule.capacity else 1.0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`cold` names the counters that need a seed before anything can be decided."""

    allowed: bool = False
    already: bool = False
    tokens: int = 0
    cost: int = 0
    states: tuple[RuleState, ...] = ()
    cold: tuple[str, ...] = ()
    now: int = 0

    @property
    def violated(self) -> tuple[RuleState, ...]:
        return tuple(state for state in self.states if state.wait_ms != 0)
