"""One rule read from a record: where it stands, how long to wait, what booking a request would write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from chat.limits.counters import calendar_at, dump_slots, slots_of
from chat.limits.reservations import Reservation
from chat.limits.values import NEVER, SLOTS, Edges, Period, Rule, RuleState, State

BUSY_MS = 2_000


@dataclass(kw_only=True)
class Reading:
    """One rule read from the record: its standing, and what booking this request would write."""

    state: RuleState
    mark: int | None = None
    value: str = ""


def read(
    state: State,
    leases: Mapping[str, Reservation],
    now: int,
    rule: Rule,
    need: int,
    edges: Mapping[Period, Edges],
    seeds: Mapping[str, int],
) -> Reading:
    if rule.kind == "bucket":
        return _read_bucket(state, now, rule, need)
    if rule.kind == "window":
        return _read_window(state, leases, now, rule, need)
    if rule.period:
        return _read_calendar(state, leases, now, rule, need, edges[rule.period], seeds.get(rule.name, 0))
    running = len(leases)
    wait = 0 if _fits(rule, running + need) else _wait(rule, need, _next_end(leases.values(), now))
    return Reading(state=RuleState(rule=rule, used=running, held=0, wait_ms=wait, resets_ms=0))


def _read_bucket(state: State, now: int, rule: Rule, need: int) -> Reading:
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
    return Reading(state=standing, mark=0 if rule.refundable else None, value=f"{window} {debt + window} {now}")


def _read_window(state: State, leases: Mapping[str, Reservation], now: int, rule: Rule, need: int) -> Reading:
    """The slot that overlaps the window's start counts whole, which is what makes the bound strict."""
    slot_ms, present = rule.slot_ms, now // rule.slot_ms
    slots: dict[int, int] = {}
    if text := state.get(rule.field):
        length, stored = slots_of(text)
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
        return Reading(state=standing, mark=0, value=dump_slots(slot_ms, slots))
    slots[present] = slots.get(present, 0) + 1
    return Reading(state=standing, mark=present if rule.refundable else None, value=dump_slots(slot_ms, slots))


def _slot_free(slots: Mapping[int, int], over: int, slot_ms: int, present: int) -> int:
    """When enough of the oldest slots have left the window to free `over`."""
    for slot in sorted(slots):
        over -= slots[slot]
        if over <= 0:
            return (slot + SLOTS + 1) * slot_ms
    return (present + SLOTS + 1) * slot_ms


def _read_calendar(
    state: State, leases: Mapping[str, Reservation], now: int, rule: Rule, need: int, edges: Edges, seed: int
) -> Reading:
    start, end, used = calendar_at(state, rule, now, edges, seed)
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
    return Reading(
        state=standing,
        mark=None if counted and not rule.refundable else start,
        value=f"{start} {used + counted}",
    )


def _fits(rule: Rule, total: int) -> bool:
    return rule.limit > 0 and total <= rule.capacity


def _wait(rule: Rule, need: int, later: int) -> int:
    return NEVER if rule.limit == 0 or need > rule.capacity else max(1, later)


def _next_end(leases: Iterable[Reservation], now: int) -> int:
    """An answer may end at any moment: ask again soon, at the latest when a lease runs out."""
    return min([BUSY_MS, *(lease.until - now for lease in leases)])


def _ceil(amount: int, by: int) -> int:
    return -(-amount // by) if by else 0


def booked(state: RuleState, tokens: int, cost: int, now: int) -> RuleState:
    rule = state.rule
    if rule.unit in ("token", "cost"):
        return replace(state, held=state.held + (tokens if rule.unit == "token" else cost))
    resets_ms = state.resets_ms
    if rule.kind == "bucket":
        resets_ms += _ceil(rule.window_ms, rule.limit)
    elif rule.kind == "window":
        resets_ms = (now // rule.slot_ms + SLOTS + 1) * rule.slot_ms - now
    return replace(state, used=state.used + 1, resets_ms=resets_ms)
