"""What goes into a decision and what comes out of it.

Times are milliseconds since the epoch and money is micro-dollars, unless a name says otherwise. Every number is an
integer below 2**53, which is what Lua can represent exactly.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

Kind = Literal["bucket", "window", "calendar", "concurrent"]
Unit = Literal["request", "token", "cost", "answer"]
Period = Literal["day", "month"]
State: TypeAlias = dict[str, str]
"""Everything stored about one subject; `chat.limits.rules` lists the fields."""

SLOTS = 20
"""Into how many slots a window is divided."""
MAX_AMOUNT = 10**15 - 1
NEVER = -1
"""In place of a wait: waiting does not help."""
UNKNOWN = -1
"""In place of an initial count: the usage ledger has to be asked for it."""
HOUR_MS = 3_600_000
KEPT_MS = {"day": 8 * 24 * HOUR_MS, "month": 40 * 24 * HOUR_MS}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One limit. `limit` 0 blocks.

    bucket: `limit` requests per `window` seconds, up to `burst` at once.
    window: never more than `limit` in any `window` seconds.
    calendar: `limit` per `period` of the site's time zone.
    concurrent: `limit` live reservations.
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
        """The field of its counter in the state."""
        return f"{self.kind[0] if self.kind != 'concurrent' else 'a'}{self.unit[0]}:{self.name}"

    @cached_property
    def capacity(self) -> int:
        """The largest amount that can be granted at once."""
        return (self.burst or self.limit) if self.kind == "bucket" and self.limit else self.limit

    @cached_property
    def window_ms(self) -> int:
        return self.window * 1000

    @cached_property
    def slot_ms(self) -> int:
        return self.window_ms // SLOTS

    @cached_property
    def length(self) -> int:
        """Nominal seconds of the window or period; 0 for concurrent."""
        return {"day": 86_400, "month": 2_592_000}[self.period] if self.period else self.window

    @cached_property
    def kept_ms(self) -> int:
        """How long its counter matters after the last write."""
        return KEPT_MS[self.period] if self.period else 2 * self.window_ms


def ttl_ms(rules: Sequence[Rule]) -> int:
    """How long a state is kept: the longest period and an hour. Less would forget counts that still matter."""
    return max((rule.kept_ms for rule in rules), default=0) + HOUR_MS


@dataclass(frozen=True, kw_only=True)
class ReservationRequest:
    """The most one answer may use. With less than `min_tokens` it is not worth starting."""

    reservation_id: str
    tokens: int = 0
    cost: int = 0
    min_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.reservation_id or set(self.reservation_id) & set(" :|"):
            raise ValueError("a reservation id has no spaces, colons or bars")

    def needed(self, unit: Unit) -> int:
        """The smallest amount that has to be free for a grant."""
        if unit == "token":
            return min(self.tokens, self.min_tokens)
        if unit == "cost":
            return self.cost if self.tokens <= self.min_tokens else self.cost_of(self.min_tokens)
        return 1

    def cost_of(self, tokens: int) -> int:
        """In proportion, rounded up; computed in floats, as Lua does it."""
        return math.ceil(float(self.cost) * tokens / self.tokens)

    def tokens_for(self, cost: int) -> int:
        return math.floor(float(cost) * self.tokens / self.cost)


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The heartbeat of one reservation: its whole usage so far. `rules` are those it was reserved under."""

    subject: str
    rules: tuple[Rule, ...]
    reservation_id: str
    tokens: int
    cost: int


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The end of a reservation: its whole usage, and whether its request is given back."""

    reservation_id: str
    tokens: int
    cost: int
    refund_request: bool = False


@dataclass(frozen=True, kw_only=True)
class RuleState:
    """How much of one rule is used right now.

    `reserved` is what running answers may still use. `wait_ms` is how long a request has to wait: 0 not at all,
    `NEVER` means that waiting does not help. After `resets_ms` nothing is used any more.
    """

    rule: Rule
    used: int
    reserved: int
    wait_ms: int
    resets_ms: int

    @property
    def remaining(self) -> int:
        return max(0, self.rule.capacity - self.used - self.reserved)

    @property
    def resets_in(self) -> int:
        """Seconds, rounded up."""
        return -(-self.resets_ms // 1000)

    @property
    def share(self) -> float:
        """Used and reserved, 0 to 1; a blocked rule is full."""
        return min(1.0, (self.used + self.reserved) / self.rule.capacity) if self.rule.capacity else 1.0


def wait_seconds(wait_ms: int) -> int | None:
    """Rounded up, at least 1; None for `NEVER`."""
    return None if wait_ms == NEVER else max(1, -(-wait_ms // 1000))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The answer to one request.

    `is_new` is False where the reservation existed before. Where `missing_counts` names rules, nothing was decided:
    ask again with their initial counts.
    """

    allowed: bool = False
    is_new: bool = True
    tokens: int = 0
    cost: int = 0
    states: tuple[RuleState, ...] = ()
    missing_counts: tuple[str, ...] = ()
    now: int = 0

    @property
    def violated(self) -> tuple[RuleState, ...]:
        return tuple(state for state in self.states if state.wait_ms != 0)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`tokens` and `cost` (micro-dollars) are what is reserved, perhaps less than was requested.

    `is_new` is False where the reservation existed before the call: then its owner settles it. `states` says how
    much of each rule is used now. `degraded`: decided without the shared store.
    """

    reservation_id: str
    tokens: int
    cost: int
    is_new: bool = True
    states: tuple[RuleState, ...] = ()
    degraded: bool = False


@dataclass(frozen=True, kw_only=True)
class RunningReservation:
    """A live reservation; `…_so_far` is what its answer last reported to have used."""

    reservation_id: str
    started: dt.datetime
    tokens: int
    cost: int
    tokens_so_far: int
    cost_so_far: int


@dataclass(frozen=True, kw_only=True)
class PastRefusal:
    """Equal refusals within a minute of each other are one; `waits` are seconds by rule name, None for never."""

    first: dt.datetime
    last: dt.datetime
    times: int
    waits: Mapping[str, int | None]
