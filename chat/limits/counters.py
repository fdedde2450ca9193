"""The counts in a record: buckets, windows of slots, calendar periods. Nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping

from chat.limits.periods import present_period
from chat.limits.values import Edges, Period, Rule, State


def add(state: State, counter: str, mark: int, amount: int, at: int) -> None:
    """Books usage: in a calendar unless a later period has begun, in a window at `at`.

    A calendar that is not there stays so, for the ledger's sum will have this usage in it.
    """
    text = state.get(counter)
    if counter[0] == "c":
        start, count = map(int, text.split()) if text else (mark, 0)
        if start <= mark and (text or was_reset(state, counter[3:], mark)):
            state[counter] = f"{mark} {amount + (count if start == mark else 0)}"
    elif text and amount:
        slot_ms, slots = slots_of(text)
        slots[at // slot_ms] = slots.get(at // slot_ms, 0) + amount
        state[counter] = dump_slots(slot_ms, slots)


def refund(state: State, counter: str, mark: int) -> None:
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
        slot_ms, slots = slots_of(text)
        if slots.get(mark):
            slots[mark] -= 1
            state[counter] = dump_slots(slot_ms, slots)


def pull_back(state: State, counter: str, now: int) -> None:
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
        slots = slots_of(state[counter])[1]
        early = {slot: count for slot, count in slots.items() if slot < present}
        state[counter] = dump_slots(slot_ms, early | {present: sum(slots.values()) - sum(early.values())})


def pull_back_period(state: State, rule: Rule, now: int, edges: Mapping[Period, Edges]) -> None:
    if not rule.period or rule.field not in state:
        return
    start, end = present_period(edges[rule.period], now)
    stored, count = state[rule.field].split()
    if int(stored) > end:
        state[rule.field] = f"{start} {count}"


def calendar_at(state: State, rule: Rule, now: int, edges: Edges, seed: int) -> tuple[int, int, int]:
    """Start, end and count of the present period. A stored period is never left for an earlier one,
    unless it lies further ahead than the next: then a wrong clock wrote it."""
    start, end = present_period(edges, now)
    text = state.get(rule.field)
    if text is None:
        return start, end, 0 if was_reset(state, rule.name, start) else max(0, seed)
    stored, count = map(int, text.split())
    if stored < start:
        return start, end, 0
    if start < stored <= end:
        return stored, edges[2] if stored == edges[1] else stored + end - start, count
    return start, end, count


def was_reset(state: State, rule: str, start: int) -> bool:
    return max(int(state.get("z:", -1)), int(state.get(f"z:{rule}", -1))) >= start


def slots_of(text: str) -> tuple[int, dict[int, int]]:
    slot_ms, *pairs = text.split()
    return int(slot_ms), {int(slot): int(count) for slot, _, count in (pair.partition(":") for pair in pairs)}


def dump_slots(slot_ms: int, slots: Mapping[int, int]) -> str:
    return " ".join([str(slot_ms), *(f"{slot}:{slots[slot]}" for slot in sorted(slots) if slots[slot])])
