"""The counters in a subject's state, one for each rule: read them, and change them.

A bucket counts requests that drain away, a window counts in slots, a calendar counter counts in a day or month. A
concurrent rule has no counter: it counts the live reservations. Counters of tokens and money change when an answer
is settled, counters of requests when it is granted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from chat.limits.periods import PeriodEdges
from chat.limits.reservations import Reservation
from chat.limits.values import NEVER, SLOTS, UNKNOWN, Period, Rule, RuleState, State

BUSY_MS = 2_000
"""The longest wait for a running answer to end: it may end at any moment."""


@dataclass(kw_only=True)
class Evaluation:
    """One rule and one request.

    `granted` is the counter if the request is granted, `counted_in` the period or slot it is then counted in (None:
    settling does not change the counter). `corrected` is the counter to store in any case, where a wrong clock wrote
    it. `is_missing`: there is no counter, and its initial count is unknown.
    """

    state: RuleState
    granted: str = ""
    counted_in: int | None = None
    corrected: str = ""
    is_missing: bool = False


def evaluate(
    state: State,
    reservations: Mapping[str, Reservation],
    now: int,
    rule: Rule,
    need: int,
    edges: Mapping[Period, PeriodEdges],
    initial_counts: Mapping[str, int],
) -> Evaluation:
    """How much of a rule is used and whether `need` more fits. `reservations` are the live ones."""
    if rule.kind == "bucket":
        return _evaluate_bucket(state, now, rule, need)
    if rule.kind == "window":
        return _evaluate_window(state, reservations, now, rule, need)
    if rule.period:
        initial = initial_counts.get(rule.name, UNKNOWN)
        return _evaluate_calendar(state, reservations, now, rule, need, edges[rule.period], initial)
    running = len(reservations)
    wait = 0
    if not rule.limit or running + need > rule.capacity:
        wait = _wait(rule, need, _next_expiry(reservations.values(), now))
    return Evaluation(state=RuleState(rule=rule, used=running, reserved=0, wait_ms=wait, resets_ms=0))


def _evaluate_bucket(state: State, now: int, rule: Rule, need: int) -> Evaluation:
    """Each request adds `window_ms` to the debt, and `limit` of it drain in each millisecond."""
    window, full = rule.window_ms, rule.capacity * rule.window_ms
    debt, at = 0, now
    if text := state.get(rule.field):
        length, debt, at = map(int, text.split())
        debt = debt if length == window else 0
    if now > at:
        debt -= (now - at) * rule.limit
    debt = max(0, min(debt, full))
    over = debt + need * window - full
    wait = 0 if over <= 0 and rule.limit else _wait(rule, need, _divide_up(over, rule.limit))
    return Evaluation(
        state=RuleState(
            rule=rule,
            used=_divide_up(debt, window),
            reserved=0,
            wait_ms=wait,
            resets_ms=_divide_up(debt, rule.limit),
        ),
        granted=f"{window} {debt + window} {now}",
        counted_in=0 if rule.refundable else None,
    )


def _evaluate_window(
    state: State, reservations: Mapping[str, Reservation], now: int, rule: Rule, need: int
) -> Evaluation:
    """The slot in which the window starts counts whole, so that no window has more than the limit."""
    slot_ms, current = rule.slot_ms, now // rule.slot_ms
    slots: dict[int, int] = {}
    if text := state.get(rule.field):
        length, stored = parse_slots(text)
        for slot, count in stored.items() if length == slot_ms else ():
            if slot >= current - SLOTS:
                slots[slot] = count
    used = sum(slots.values())
    holders, reserved = _reserved_under(rule, reservations)
    wait = 0
    if not rule.limit or used + reserved + need > rule.capacity:
        over = used + need - rule.capacity
        later = _next_expiry(holders, now) if over <= 0 else _slot_free(slots, over, slot_ms, current) - now
        wait = _wait(rule, need, later)
    resets = (max(slots) + SLOTS + 1) * slot_ms - now if used else 0
    standing = RuleState(rule=rule, used=used, reserved=reserved, wait_ms=wait, resets_ms=resets)
    if rule.unit != "request":
        return Evaluation(state=standing, granted=format_slots(slot_ms, slots), counted_in=0)
    slots[current] = slots.get(current, 0) + 1
    return Evaluation(
        state=standing, granted=format_slots(slot_ms, slots), counted_in=current if rule.refundable else None
    )


def _slot_free(slots: Mapping[int, int], over: int, slot_ms: int, current: int) -> int:
    """When enough of the oldest slots have left the window to free `over`."""
    for slot in sorted(slots):
        over -= slots[slot]
        if over <= 0:
            return (slot + SLOTS + 1) * slot_ms
    return (current + SLOTS + 1) * slot_ms


def _evaluate_calendar(
    state: State,
    reservations: Mapping[str, Reservation],
    now: int,
    rule: Rule,
    need: int,
    edges: PeriodEdges,
    initial: int,
) -> Evaluation:
    start, end, used = calendar_count(state, rule, now, edges, initial)
    holders, reserved = _reserved_under(rule, reservations, start)
    wait = 0
    if not rule.limit or used + reserved + need > rule.capacity:
        waits_for_answer = used + need <= rule.capacity
        wait = _wait(rule, need, _next_expiry(holders, now) if waits_for_answer else end - now)
    counts_requests = rule.unit == "request"
    text = state.get(rule.field)
    return Evaluation(
        state=RuleState(rule=rule, used=used, reserved=reserved, wait_ms=wait, resets_ms=end - now),
        granted=f"{start} {used + counts_requests}",
        counted_in=None if counts_requests and not rule.refundable else start,
        corrected=f"{start} {used}" if text and int(text.partition(" ")[0]) > end else "",
        is_missing=text is None and initial == UNKNOWN and not was_reset(state, rule.name, start),
    )


def _reserved_under(
    rule: Rule, reservations: Mapping[str, Reservation], start: int | None = None
) -> tuple[Collection[Reservation], int]:
    """The reservations that this rule counts, in the period from `start` where given, and their tokens or cost."""
    if rule.unit == "request":
        return (), 0
    field = rule.field
    if start is None:
        holders = [each for each in reservations.values() if field in each.counted_in]
    else:
        holders = [each for each in reservations.values() if each.counted_in.get(field) == start]
    return holders, sum(each.tokens if rule.unit == "token" else each.cost for each in holders)


def _wait(rule: Rule, need: int, later: int) -> int:
    return NEVER if rule.limit == 0 or need > rule.capacity else max(1, later)


def _next_expiry(reservations: Collection[Reservation], now: int) -> int:
    """Milliseconds until the first of them expires, at most `BUSY_MS`."""
    return min([BUSY_MS, *(each.expires - now for each in reservations)])


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by) if by else 0


def after_grant(state: RuleState, tokens: int, cost: int, now: int) -> RuleState:
    """The state of a rule once these amounts are reserved."""
    rule = state.rule
    if rule.unit in ("token", "cost"):
        return replace(state, reserved=state.reserved + (tokens if rule.unit == "token" else cost))
    resets_ms = state.resets_ms
    if rule.kind == "bucket":
        resets_ms += _divide_up(rule.window_ms, rule.limit)
    elif rule.kind == "window":
        resets_ms = (now // rule.slot_ms + SLOTS + 1) * rule.slot_ms - now
    return replace(state, used=state.used + 1, resets_ms=resets_ms)


def calendar_count(state: State, rule: Rule, now: int, edges: PeriodEdges, initial: int) -> tuple[int, int, int]:
    """Start, end and count of the current period.

    A stored period is never left for an earlier one, for a clock may step back; unless it is later than the next
    period: then a wrong clock wrote it.
    """
    start, end = edges.current(now)
    text = state.get(rule.field)
    if text is None:
        return start, end, 0 if was_reset(state, rule.name, start) else max(0, initial)
    stored, count = map(int, text.split())
    if stored < start:
        return start, end, 0
    if start < stored <= end:
        return stored, edges.next_end if stored == edges.end else stored + end - start, count
    return start, end, count


def was_reset(state: State, rule: str, start: int) -> bool:
    """Whether an administrator reset the rule, or all, since `start`."""
    return max(int(state.get("z:", -1)), int(state.get(f"z:{rule}", -1))) >= start


def add_usage(state: State, counter: str, counted_in: int, amount: int, at: int) -> None:
    """Count tokens or cost: in a calendar unless a later period has started, in a window at the time `at`.

    A calendar counter that is missing stays missing: its initial count from the ledger will contain this usage.
    """
    text = state.get(counter)
    if counter[0] == "c":
        start, count = map(int, text.split()) if text else (counted_in, 0)
        if start <= counted_in and (text or was_reset(state, counter[3:], counted_in)):
            state[counter] = f"{counted_in} {amount + (count if start == counted_in else 0)}"
    elif text and amount:
        slot_ms, slots = parse_slots(text)
        slots[at // slot_ms] = slots.get(at // slot_ms, 0) + amount
        state[counter] = format_slots(slot_ms, slots)


def refund_request(state: State, counter: str, counted_in: int) -> None:
    """Give one request back where it was counted; a count never falls below 0."""
    text = state.get(counter)
    if not text:
        return
    if counter[0] == "b":
        window, debt, at = map(int, text.split())
        state[counter] = f"{window} {max(0, debt - window)} {at}"
    elif counter[0] == "c":
        start, count = map(int, text.split())
        if start == counted_in:
            state[counter] = f"{start} {max(0, count - 1)}"
    else:
        slot_ms, slots = parse_slots(text)
        if slots.get(counted_in):
            slots[counted_in] -= 1
            state[counter] = format_slots(slot_ms, slots)


def move_future_to_now(state: State, counter: str, now: int) -> None:
    """After the clock stepped back: what a bucket or window has counted in the future counts as of now."""
    text = state[counter]
    if counter[0] == "b":
        window, debt, at = text.split()
        if int(at) > now:
            state[counter] = f"{window} {debt} {now}"
        return
    newest, has_slots, _count = text.rpartition(" ")[2].partition(":")
    if not has_slots:
        return
    slot_ms = int(text.partition(" ")[0])
    current = now // slot_ms
    if int(newest) > current:
        slots = parse_slots(text)[1]
        past = {slot: count for slot, count in slots.items() if slot < current}
        state[counter] = format_slots(slot_ms, past | {current: sum(slots.values()) - sum(past.values())})


def parse_slots(text: str) -> tuple[int, dict[int, int]]:
    """The length of a slot in milliseconds and the counts by slot number."""
    slot_ms, *pairs = text.split()
    return int(slot_ms), {int(slot): int(count) for slot, _, count in (pair.partition(":") for pair in pairs)}


def format_slots(slot_ms: int, slots: Mapping[int, int]) -> str:
    return " ".join([str(slot_ms), *(f"{slot}:{slots[slot]}" for slot in sorted(slots) if slots[slot])])
