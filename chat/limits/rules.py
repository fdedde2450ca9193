"""The pure decision about one request, and what renewing, settling and resetting do to a record.

A subject's whole state is one flat record of strings, the same fields and bytes
in process and in Redis, where `limits.lua` is the twin of these rooms.

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

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chat.limits.counters import add, calendar_at, pull_back_period, refund, was_reset
from chat.limits.evaluation import booked, read
from chat.limits.periods import KEPT_MS, present_period, ttl_ms
from chat.limits.refusal_log import log_refusal
from chat.limits.reservations import LEASE_MS, Reservation, begin, note_settled, recently_settled, sweep
from chat.limits.values import UNKNOWN, Decision, Edges, Period, Request, Rule, RuleState, State


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
    leases = sweep(after, now)
    cold = _cold(after, now, rules, edges, seeds)
    if cold:
        return state, Decision(cold=cold, now=now)
    for rule in rules:
        pull_back_period(after, rule, now, edges)
    readings = [read(after, leases, now, rule, request.need(rule.unit), edges, seeds) for rule in rules]
    states = tuple(reading.state for reading in readings)
    if live := leases.get(request.lease_id):
        decision = Decision(allowed=True, already=True, tokens=live.tokens, cost=live.cost, states=states, now=now)
        return after, decision
    refused = [reading.state for reading in readings if reading.state.wait_ms]
    if refused:
        log_refusal(after, now, refused)
        _keep(after, rules)
        return after, Decision(states=states, now=now)
    tokens, cost = _fit(request, states)
    for rule, reading in zip(rules, readings, strict=True):
        if reading.value:
            after[rule.field] = reading.value
    marks = {r.field: x.mark for r, x in zip(rules, readings, strict=True) if x.mark is not None}
    begin(
        after, request.lease_id, Reservation(until=now + LEASE_MS, created=now, tokens=tokens, cost=cost, marks=marks)
    )
    _keep(after, rules)
    states = tuple(booked(state, tokens, cost, now) for state in states)
    return after, Decision(allowed=True, tokens=tokens, cost=cost, states=states, now=now)


def peek(
    state: State, now: int, rules: Sequence[Rule], *, edges: Mapping[Period, Edges], seeds: Mapping[str, int]
) -> Decision:
    """Where every rule stands, with the wait for the least amount; nothing changes."""
    swept = dict(state)
    leases = sweep(swept, now)
    if cold := _cold(swept, now, rules, edges, seeds):
        return Decision(cold=cold, now=now)
    states = tuple(read(swept, leases, now, rule, 1, edges, seeds).state for rule in rules)
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
    leases = sweep(after, now)
    if lease_id in recently_settled(after, now):
        return after
    lease = leases.get(lease_id)
    if lease is None and (swept := after.pop(f"s:{lease_id}", None)):
        lease = Reservation.parse(swept)
    if lease is None:
        lease = Reservation(until=0, created=now, marks=_marks_anew(after, now, rules, edges))
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
    """Ends a lease and books what it really took: all of it, or what its expiry has not charged yet.

    False, and no effect, if it was settled before or expired long ago.
    """
    after = dict(state)
    lease = sweep(after, now).get(lease_id)
    if lease is None and f"s:{lease_id}" in after:
        lease = Reservation.parse(after.pop(f"s:{lease_id}"))
    if lease is None:
        return after, False
    for counter, mark in lease.marks.items():
        unit = counter[1]
        if unit != "r":
            add(after, counter, mark, lease.due(unit, tokens, cost), now)
        elif refund_request:
            refund(after, counter, mark)
    after.pop(f"l:{lease_id}", None)
    note_settled(after, now, lease_id)
    return after, True


def reset(state: State, now: int, rule: str | None) -> State:
    """Forgets what was used under one rule, or all; running answers stay."""
    kept = {
        name: value
        for name, value in state.items()
        if name[0] not in "bwcz" or (rule is not None and name.partition(":")[2] != rule)
    }
    return kept | {f"z:{rule or ''}": str(now), "ttl": state.get("ttl", str(KEPT_MS["month"]))}


def _cold(
    state: State, now: int, rules: Sequence[Rule], edges: Mapping[Period, Edges], seeds: Mapping[str, int]
) -> tuple[str, ...]:
    return tuple(
        rule.name
        for rule in rules
        if rule.period
        and rule.field not in state
        and seeds.get(rule.name, UNKNOWN) == UNKNOWN
        and not was_reset(state, rule.name, present_period(edges[rule.period], now)[0])
    )


def _marks_anew(state: State, now: int, rules: Sequence[Rule], edges: Mapping[Period, Edges]) -> dict[str, int]:
    """Requests are left out: this lease's own was counted before the record was lost."""
    marks = {}
    for rule in rules:
        if rule.unit not in ("token", "cost"):
            continue
        if rule.period:
            marks[rule.field] = calendar_at(state, rule, now, edges[rule.period], 0)[0]
        else:
            state.setdefault(rule.field, str(rule.slot_ms))
            marks[rule.field] = 0
    return marks


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


def _keep(state: State, rules: Sequence[Rule]) -> None:
    state["ttl"] = str(max(int(state.get("ttl", 0)), ttl_ms(rules)))
