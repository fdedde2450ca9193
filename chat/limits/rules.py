"""What a limit is, and the pure decision about one request.

A subject's whole state is one flat record of strings, the same fields and bytes
in process and in Redis, where `limits.lua` is the twin of this module. Times are
milliseconds since the epoch, costs micro-dollars; every number is an integer
below 2**53, which Lua can hold.

    br:<rule>            bucket: "window debt at"; one request owes `window`, and `limit` drain each millisecond
    w<unit>:<rule>       window: "slot_ms slot:count slot:count"
    c<unit>:<rule>       calendar: "period_start count"
    l:<lease> s:<lease>  a live lease; one that expired and was charged what it had last reported
    d                    the last settled leases: "until:lease until:lease"
    z: z:<rule>          when everything, or one rule, was last reset
    x                    recent refusals
    ttl                  how long the record is kept after its last write
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

Kind = Literal["bucket", "window", "calendar", "concurrent"]
Unit = Literal["request", "token", "cost", "answer"]
Period = Literal["day", "month"]
State: TypeAlias = dict[str, str]
Edges: TypeAlias = tuple[int, int, int]
"""Start and end of the present period and end of the next one."""

LEASE_MS = 45_000
SETTLED_MS = 60_000
SETTLED = 16
SWEPT_MS = 900_000
BUSY_MS = 2_000
SLOTS = 20
REFUSALS = 20
REFUSAL_MERGE_MS = 60_000
MAX_AMOUNT = 10**15 - 1
NEVER = -1
UNKNOWN = -1
"""A seed that the ledger has to be asked for."""

_HOUR_MS = 3_600_000
_PERIOD_TTL_MS = {"day": 8 * 24 * _HOUR_MS, "month": 40 * 24 * _HOUR_MS}


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


@dataclass(frozen=True, kw_only=True)
class Lease:
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
    def parse(cls, text: str) -> Lease:
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


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Equal refusals within a minute are one, counted in `times`; `waits_ms` are the latest."""

    first: int
    last: int
    times: int
    waits_ms: Mapping[str, int]


def edges(now: int, zone: dt.tzinfo) -> dict[Period, Edges]:
    """The present and the next day and month at `now`, by the calendar of the zone."""
    today = dt.datetime.fromtimestamp(now / 1000, zone).date()
    days = [today + dt.timedelta(days=n) for n in range(3)]
    months = [_month(today, n) for n in range(3)]
    return {"day": _instants(days, zone), "month": _instants(months, zone)}


def _month(day: dt.date, ahead: int) -> dt.date:
    years, month = divmod(day.month - 1 + ahead, 12)
    return dt.date(day.year + years, month + 1, 1)


def _instants(days: Sequence[dt.date], zone: dt.tzinfo) -> Edges:
    first, second, third = (
        int(dt.datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000) for day in days
    )
    return first, second, third


def ttl_ms(rules: Sequence[Rule]) -> int:
    """The longest period plus slack: a shorter one would forget counts that still bind."""
    return max((_PERIOD_TTL_MS[r.period] if r.period else 2 * r.window_ms for r in rules), default=0) + _HOUR_MS


@dataclass(kw_only=True)
class _Reading:
    """One rule read from the record: its standing, and what booking this request would write."""

    state: RuleState
    mark: int | None = None
    value: str = ""


def decide(
    state: State,
    now: int,
    rules: Sequence[Rule],
    request: Request,
    *,
    edges: Mapping[Period, Edges],
    seeds: Mapping[str, int],
) -> tuple[State, Decision]:
    """All or nothing: books the request under every rule, or changes no counter at all.

    `seeds` holds, by rule name, the count to start from where the record has none;
    where it has `UNKNOWN` the answer is only which rules are cold.
    """
    after = dict(state)
    leases = _sweep(after, now)
    cold = _cold(after, now, rules, edges, seeds)
    if cold:
        return state, Decision(cold=cold, now=now)
    for rule in rules:
        _pull_back_period(after, rule, now, edges)
    readings = [_read(after, leases, now, rule, request.need(rule.unit), edges, seeds) for rule in rules]
    states = tuple(reading.state for reading in readings)
    if live := leases.get(request.lease_id):
        decision = Decision(allowed=True, already=True, tokens=live.tokens, cost=live.cost, states=states, now=now)
        return after, decision
    refused = [reading.state for reading in readings if reading.state.wait_ms]
    if refused:
        _log_refusal(after, now, refused)
        _keep(after, rules)
        return after, Decision(states=states, now=now)
    tokens, cost = _fit(request, states)
    for rule, reading in zip(rules, readings, strict=True):
        if reading.value:
            after[rule.field] = reading.value
    marks = {r.field: x.mark for r, x in zip(rules, readings, strict=True) if x.mark is not None}
    lease = Lease(until=now + LEASE_MS, created=now, tokens=tokens, cost=cost, marks=marks)
    after[f"l:{request.lease_id}"] = lease.dump()
    after.pop(f"s:{request.lease_id}", None)
    _keep(after, rules)
    booked = tuple(_booked(state, tokens, cost, now) for state in states)
    return after, Decision(allowed=True, tokens=tokens, cost=cost, states=booked, now=now)


def peek(
    state: State, now: int, rules: Sequence[Rule], *, edges: Mapping[Period, Edges], seeds: Mapping[str, int]
) -> Decision:
    """Where every rule stands, with the wait for the least amount; nothing changes."""
    swept = dict(state)
    leases = _sweep(swept, now)
    if cold := _cold(swept, now, rules, edges, seeds):
        return Decision(cold=cold, now=now)
    states = tuple(_read(swept, leases, now, rule, 1, edges, seeds).state for rule in rules)
    return Decision(allowed=True, states=states, now=now)


def renew(
    state: State,
    now: int,
    rules: Sequence[Rule],
    *,
    lease_id: str,
    tokens: int,
    cost: int,
    edges: Mapping[Period, Edges],
) -> State:
    """Prolongs a lease and notes its usage so far; makes it anew where the record lost it.

    A settled lease stays settled. One that had expired comes back with what was charged for it.
    """
    after = dict(state)
    leases = _sweep(after, now)
    if lease_id in _settled(after, now):
        return after
    lease = leases.get(lease_id)
    if lease is None and (swept := after.pop(f"s:{lease_id}", None)):
        lease = Lease.parse(swept)
    if lease is None:
        lease = Lease(until=0, created=now, marks=_marks_anew(after, now, rules, edges))
        _keep(after, rules)
    lease = replace(
        lease,
        until=now + LEASE_MS,
        tokens=max(lease.tokens, tokens),
        cost=max(lease.cost, cost),
        floor_tokens=max(lease.floor_tokens, tokens),
        floor_cost=max(lease.floor_cost, cost),
    )
    after[f"l:{lease_id}"] = lease.dump()
    return after


def settle(
    state: State, now: int, *, lease_id: str, tokens: int, cost: int, refund_request: bool = False
) -> tuple[State, bool]:
    """Ends a live lease and books what it really took; False, and no effect, if it is not live."""
    after = dict(state)
    lease = _sweep(after, now).get(lease_id)
    if lease is None:
        return after, False
    for counter, mark in lease.marks.items():
        unit = counter[1]
        if unit != "r":
            _add(after, counter, mark, lease.due(unit, tokens, cost), now)
        elif refund_request:
            _refund(after, counter, mark)
    del after[f"l:{lease_id}"]
    recent = _settled(after, now)
    recent.pop(lease_id, None)
    recent[lease_id] = now + SETTLED_MS
    after["d"] = " ".join([f"{until}:{lease_id}" for lease_id, until in recent.items()][-SETTLED:])
    return after, True


def reset(state: State, now: int, rule: str | None) -> State:
    """Forgets what was used under one rule, or all; running answers stay."""
    kept = {
        name: value
        for name, value in state.items()
        if name[0] not in "bwcz" or (rule is not None and name.partition(":")[2] != rule)
    }
    return kept | {f"z:{rule or ''}": str(now), "ttl": state.get("ttl", str(_PERIOD_TTL_MS["month"]))}


def live_leases(state: State, now: int) -> dict[str, Lease]:
    return _sweep(dict(state), now)


def refusals(state: State) -> list[Refusal]:
    """Newest last."""
    found = []
    for entry in filter(None, state.get("x", "").split(";")):
        first, last, times, waits = entry.split(",")
        pairs = (pair.partition("=") for pair in waits.split("+"))
        found.append(
            Refusal(first=int(first), last=int(last), times=int(times), waits_ms={n: int(w) for n, _, w in pairs})
        )
    return found


def _sweep(state: State, now: int) -> dict[str, Lease]:
    """Charges expired leases what they last reported; returns the live ones.

    After a step back of the clock nothing may stay longer than if it had been written now.
    """
    leases = {}
    for name in [name for name in state if name[0] in "bw"]:
        _pull_back(state, name, now)
    for name in sorted(name for name in state if name[:2] in ("l:", "s:")):
        lease = Lease.parse(state[name])
        longest = now + (LEASE_MS if name[0] == "l" else SWEPT_MS)
        if lease.until > longest:
            lease = replace(lease, until=longest)
            state[name] = lease.dump()
        if lease.until <= now:
            _expire(state, name, lease, now)
        elif name[0] == "l":
            leases[name[2:]] = lease
    return leases


def _pull_back(state: State, counter: str, now: int) -> None:
    if counter[0] == "b":
        window, debt, at = state[counter].split()
        if int(at) > now:
            state[counter] = f"{window} {debt} {now}"
        return
    newest = state[counter].rpartition(" ")[2].partition(":")
    if not newest[1]:
        return
    slot_ms = int(state[counter].partition(" ")[0])
    present = now // slot_ms
    if int(newest[0]) > present:
        slots = _slots(state[counter])[1]
        early = {slot: count for slot, count in slots.items() if slot < present}
        state[counter] = _dump_slots(slot_ms, early | {present: sum(slots.values()) - sum(early.values())})


def _expire(state: State, name: str, lease: Lease, now: int) -> None:
    del state[name]
    if name[0] == "s":
        return
    for counter, mark in lease.marks.items():
        if counter[1] != "r":
            _add(state, counter, mark, lease.due(counter[1], lease.floor_tokens, lease.floor_cost), lease.until)
    swept = replace(lease, until=now + SWEPT_MS, paid_tokens=lease.floor_tokens, paid_cost=lease.floor_cost)
    state[f"s:{name[2:]}"] = swept.dump()


def _settled(state: State, now: int) -> dict[str, int]:
    """Leases settled within the last minute: a heartbeat that comes late must not bring them back."""
    pairs = (entry.partition(":") for entry in state.get("d", "").split())
    return {lease_id: int(until) for until, _, lease_id in pairs if now < int(until) <= now + SETTLED_MS}


def _add(state: State, counter: str, mark: int, amount: int, at: int) -> None:
    """Books usage: in a calendar unless a later period has begun, in a window at `at`.

    A calendar that is not there stays so, for the ledger's sum will have this usage in it.
    """
    text = state.get(counter)
    if counter[0] == "c":
        start, count = map(int, text.split()) if text else (mark, 0)
        if start <= mark and (text or _was_reset(state, counter[3:], mark)):
            state[counter] = f"{mark} {amount + (count if start == mark else 0)}"
    elif text and amount:
        slot_ms, slots = _slots(text)
        slots[at // slot_ms] = slots.get(at // slot_ms, 0) + amount
        state[counter] = _dump_slots(slot_ms, slots)


def _refund(state: State, counter: str, mark: int) -> None:
    """Gives one request back where it was counted, never below nothing."""
    text = state.get(counter)
    if not text:
        return
    if counter[0] == "b":
        window, debt, at = map(int, text.split())
        state[counter] = f"{window} {max(0, debt - window)} {at}"
    elif counter[0] == "c":
        start, count = map(int, text.split())
        if start == mark:
            state[counter] = f"{start} {max(0, count - 1)}"
    else:
        slot_ms, slots = _slots(text)
        if slots.get(mark):
            slots[mark] -= 1
            state[counter] = _dump_slots(slot_ms, slots)


def _slots(text: str) -> tuple[int, dict[int, int]]:
    slot_ms, *pairs = text.split()
    return int(slot_ms), {int(slot): int(count) for slot, _, count in (pair.partition(":") for pair in pairs)}


def _dump_slots(slot_ms: int, slots: Mapping[int, int]) -> str:
    return " ".join([str(slot_ms), *(f"{slot}:{slots[slot]}" for slot in sorted(slots) if slots[slot])])


def _was_reset(state: State, rule: str, start: int) -> bool:
    return max(int(state.get("z:", -1)), int(state.get(f"z:{rule}", -1))) >= start


def _cold(
    state: State, now: int, rules: Sequence[Rule], edges: Mapping[Period, Edges], seeds: Mapping[str, int]
) -> tuple[str, ...]:
    return tuple(
        rule.name
        for rule in rules
        if rule.period
        and rule.field not in state
        and seeds.get(rule.name, UNKNOWN) == UNKNOWN
        and not _was_reset(state, rule.name, _present(edges[rule.period], now)[0])
    )


def _marks_anew(state: State, now: int, rules: Sequence[Rule], edges: Mapping[Period, Edges]) -> dict[str, int]:
    """Requests are left out: this lease's own was counted before the record was lost."""
    marks = {}
    for rule in rules:
        if rule.unit not in ("token", "cost"):
            continue
        if rule.period:
            marks[rule.field] = _calendar(state, rule, now, edges[rule.period], 0)[0]
        else:
            state.setdefault(rule.field, str(rule.slot_ms))
            marks[rule.field] = 0
    return marks


def _read(
    state: State,
    leases: Mapping[str, Lease],
    now: int,
    rule: Rule,
    need: int,
    edges: Mapping[Period, Edges],
    seeds: Mapping[str, int],
) -> _Reading:
    if rule.kind == "bucket":
        return _read_bucket(state, now, rule, need)
    if rule.kind == "window":
        return _read_window(state, leases, now, rule, need)
    if rule.period:
        return _read_calendar(state, leases, now, rule, need, edges[rule.period], seeds.get(rule.name, 0))
    running = len(leases)
    wait = 0 if _fits(rule, running + need) else _wait(rule, need, _next_end(leases.values(), now))
    return _Reading(state=RuleState(rule=rule, used=running, held=0, wait_ms=wait, resets_ms=0))


def _read_bucket(state: State, now: int, rule: Rule, need: int) -> _Reading:
    window, full = rule.window_ms, rule.capacity * rule.window_ms
    debt, at = 0, now
    if text := state.get(rule.field):
        length, debt, at = map(int, text.split())
        debt = debt if length == window else 0
    if now > at:
        debt -= (now - at) * rule.limit
    debt = max(0, min(debt, full))
    over = debt + need * window - full
    wait = 0 if over <= 0 and rule.limit else _wait(rule, need, _ceil(over, rule.limit))
    standing = RuleState(rule=rule, used=_ceil(debt, window), held=0, wait_ms=wait, resets_ms=_ceil(debt, rule.limit))
    return _Reading(state=standing, mark=0 if rule.refundable else None, value=f"{window} {debt + window} {now}")


def _read_window(state: State, leases: Mapping[str, Lease], now: int, rule: Rule, need: int) -> _Reading:
    """The slot that overlaps the window's start counts whole, which is what makes the bound strict."""
    slot_ms, present = rule.slot_ms, now // rule.slot_ms
    slots: dict[int, int] = {}
    if text := state.get(rule.field):
        length, stored = _slots(text)
        for slot, count in stored.items() if length == slot_ms else ():
            if slot >= present - SLOTS:
                slots[slot] = count
    used = sum(slots.values())
    holders = [lease for lease in leases.values() if rule.field in lease.marks] if rule.unit != "request" else []
    held = sum(lease.held(rule.unit[0]) for lease in holders)
    wait = 0
    if not _fits(rule, used + held + need):
        over = used + need - rule.capacity
        later = _next_end(holders, now) if over <= 0 else _slot_free(slots, over, slot_ms, present) - now
        wait = _wait(rule, need, later)
    resets = (max(slots) + SLOTS + 1) * slot_ms - now if used else 0
    standing = RuleState(rule=rule, used=used, held=held, wait_ms=wait, resets_ms=resets)
    if rule.unit != "request":
        return _Reading(state=standing, mark=0, value=_dump_slots(slot_ms, slots))
    slots[present] = slots.get(present, 0) + 1
    return _Reading(state=standing, mark=present if rule.refundable else None, value=_dump_slots(slot_ms, slots))


def _slot_free(slots: Mapping[int, int], over: int, slot_ms: int, present: int) -> int:
    """When enough of the oldest slots have left the window to free `over`."""
    for slot in sorted(slots):
        over -= slots[slot]
        if over <= 0:
            return (slot + SLOTS + 1) * slot_ms
    return (present + SLOTS + 1) * slot_ms


def _read_calendar(
    state: State, leases: Mapping[str, Lease], now: int, rule: Rule, need: int, edges: Edges, seed: int
) -> _Reading:
    start, end, used = _calendar(state, rule, now, edges, seed)
    held = 0
    holders = []
    if rule.unit != "request":
        holders = [lease for lease in leases.values() if lease.marks.get(rule.field) == start]
        held = sum(lease.held(rule.unit[0]) for lease in holders)
    wait = 0
    if not _fits(rule, used + held + need):
        waits_for_answer = used + need <= rule.capacity
        wait = _wait(rule, need, _next_end(holders, now) if waits_for_answer else end - now)
    standing = RuleState(rule=rule, used=used, held=held, wait_ms=wait, resets_ms=end - now)
    counted = rule.unit == "request"
    return _Reading(
        state=standing,
        mark=None if counted and not rule.refundable else start,
        value=f"{start} {used + counted}",
    )


def _calendar(state: State, rule: Rule, now: int, edges: Edges, seed: int) -> tuple[int, int, int]:
    """Start, end and count of the present period. A stored period is never left for an earlier one,
    unless it lies further ahead than the next: then a wrong clock wrote it."""
    start, end = _present(edges, now)
    text = state.get(rule.field)
    if text is None:
        return start, end, 0 if _was_reset(state, rule.name, start) else max(0, seed)
    stored, count = map(int, text.split())
    if stored < start:
        return start, end, 0
    if start < stored <= end:
        return stored, edges[2] if stored == edges[1] else stored + end - start, count
    return start, end, count


def _pull_back_period(state: State, rule: Rule, now: int, edges: Mapping[Period, Edges]) -> None:
    if not rule.period or rule.field not in state:
        return
    start, end = _present(edges[rule.period], now)
    stored, count = state[rule.field].split()
    if int(stored) > end:
        state[rule.field] = f"{start} {count}"


def _present(edges: Edges, now: int) -> tuple[int, int]:
    start, end, after = edges
    return (start, end) if now < end else (end, after)


def _fits(rule: Rule, total: int) -> bool:
    return rule.limit > 0 and total <= rule.capacity


def _wait(rule: Rule, need: int, later: int) -> int:
    return NEVER if rule.limit == 0 or need > rule.capacity else max(1, later)


def _next_end(leases: Iterable[Lease], now: int) -> int:
    """An answer may end at any moment: ask again soon, at the latest when a lease runs out."""
    return min([BUSY_MS, *(lease.until - now for lease in leases)])


def _ceil(amount: int, by: int) -> int:
    return -(-amount // by) if by else 0


def _fit(request: Request, states: Sequence[RuleState]) -> tuple[int, int]:
    """Tokens and cost to hold: all of it, or what is left where that is enough."""
    tokens, most = request.tokens, request.cost
    for state in states:
        left = state.rule.capacity - state.used - state.held
        if state.rule.unit == "token":
            tokens = min(tokens, left)
        elif state.rule.unit == "cost" and left < request.cost:
            most = min(most, left)
            tokens = min(tokens, max(request.tokens_for(left), request.need("token")))
    return tokens, most if tokens == request.tokens else min(most, request.cost_of(tokens))


def _booked(state: RuleState, tokens: int, cost: int, now: int) -> RuleState:
    rule = state.rule
    if rule.unit in ("token", "cost"):
        return replace(state, held=state.held + (tokens if rule.unit == "token" else cost))
    resets_ms = state.resets_ms
    if rule.kind == "bucket":
        resets_ms += _ceil(rule.window_ms, rule.limit)
    elif rule.kind == "window":
        resets_ms = (now // rule.slot_ms + SLOTS + 1) * rule.slot_ms - now
    return replace(state, used=state.used + 1, resets_ms=resets_ms)


def _log_refusal(state: State, now: int, refused: Sequence[RuleState]) -> None:
    waits = "+".join(f"{each.rule.name}={each.wait_ms}" for each in refused)
    entries = state["x"].split(";") if "x" in state else []
    first, times = now, 1
    if entries:
        began, last, count, before = entries[-1].split(",")
        same = [pair.partition("=")[0] for pair in before.split("+")] == [each.rule.name for each in refused]
        if same and 0 <= now - int(last) <= REFUSAL_MERGE_MS:
            first, times = int(began), int(count) + 1
            entries.pop()
    entries.append(f"{first},{now},{times},{waits}")
    state["x"] = ";".join(entries[-REFUSALS:])


def _keep(state: State, rules: Sequence[Rule]) -> None:
    state["ttl"] = str(max(int(state.get("ttl", 0)), ttl_ms(rules)))
