"""The decision about one request, and what renewing, settling and resetting do to a subject's state. Pure.

A subject's state is one flat dictionary of strings, the same fields and bytes in memory and in Redis, where
`limits.lua` does exactly what this module does (a test compares the two):

    br:<rule>        bucket: "window debt at"; one request owes `window`, and `limit` drain each millisecond
    w<unit>:<rule>   window: "slot_ms slot:count slot:count"
    c<unit>:<rule>   calendar: "period_start count"
    l:<id>           a live reservation
    s:<id>           a reservation that expired and was charged what it had last reported
    d                the last settled reservations: "until:id until:id"
    z: z:<rule>      when everything, or one rule, was last reset
    x                recent refusals
    ttl              how long the state is kept after its last write, in milliseconds
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chat.limits.counters import (
    add_usage,
    after_grant,
    calendar_count,
    evaluate,
    move_future_to_now,
    refund_request,
)
from chat.limits.periods import PeriodEdges
from chat.limits.refusal_log import log_refusal
from chat.limits.reservations import (
    EXPIRED_KEPT_MS,
    RESERVATION_MS,
    SETTLED_KEPT,
    SETTLED_MS,
    Reservation,
    recently_settled,
)
from chat.limits.values import (
    KEPT_MS,
    Decision,
    Period,
    Renewal,
    ReservationRequest,
    Rule,
    RuleState,
    Settlement,
    State,
    ttl_ms,
)


def decide(
    state: State,
    now: int,
    rules: Sequence[Rule],
    request: ReservationRequest,
    *,
    edges: Mapping[Period, PeriodEdges],
    initial_counts: Mapping[str, int],
) -> tuple[State, Decision]:
    """Reserve under every rule, or change no counter at all.

    `initial_counts` has, by rule name, the count to start from where the state has no counter (the seed of
    `limits.lua`). Where it is needed and missing or `UNKNOWN`, the decision only names these rules.
    """
    after = dict(state)
    reservations = _expire(after, now)
    evaluations = [
        evaluate(after, reservations, now, rule, request.needed(rule.unit), edges, initial_counts) for rule in rules
    ]
    if missing := tuple(each.state.rule.name for each in evaluations if each.is_missing):
        return state, Decision(missing_counts=missing, now=now)
    after |= {each.state.rule.field: each.corrected for each in evaluations if each.corrected}
    states = tuple(each.state for each in evaluations)
    if live := reservations.get(request.reservation_id):
        return after, Decision(allowed=True, is_new=False, tokens=live.tokens, cost=live.cost, states=states, now=now)
    after["ttl"] = str(max(int(after.get("ttl", 0)), ttl_ms(rules)))
    if refused := [each for each in states if each.wait_ms]:
        log_refusal(after, now, refused)
        return after, Decision(states=states, now=now)
    tokens, cost = _amounts_to_reserve(request, states)
    after |= {each.state.rule.field: each.granted for each in evaluations if each.granted}
    reservation = Reservation(
        expires=now + RESERVATION_MS,
        created=now,
        tokens=tokens,
        cost=cost,
        counted_in={each.state.rule.field: each.counted_in for each in evaluations if each.counted_in is not None},
    )
    after[f"l:{request.reservation_id}"] = reservation.format()
    after.pop(f"s:{request.reservation_id}", None)
    states = tuple(after_grant(each, tokens, cost, now) for each in states)
    return after, Decision(allowed=True, tokens=tokens, cost=cost, states=states, now=now)


def peek(
    state: State,
    now: int,
    rules: Sequence[Rule],
    *,
    edges: Mapping[Period, PeriodEdges],
    initial_counts: Mapping[str, int],
) -> Decision:
    """How much of every rule is used, and the wait for one unit more. Changes nothing."""
    copy = dict(state)
    reservations = _expire(copy, now)
    evaluations = [evaluate(copy, reservations, now, rule, 1, edges, initial_counts) for rule in rules]
    if missing := tuple(each.state.rule.name for each in evaluations if each.is_missing):
        return Decision(missing_counts=missing, now=now)
    return Decision(allowed=True, states=tuple(each.state for each in evaluations), now=now)


def renew(state: State, now: int, renewal: Renewal, *, edges: Mapping[Period, PeriodEdges]) -> State:
    """Extend a reservation and note its usage so far.

    One that the state has lost is created again; one that has expired comes back with what was charged for it; one
    that was settled stays settled.
    """
    after, reservation_id = dict(state), renewal.reservation_id
    reservations = _expire(after, now)
    if reservation_id in recently_settled(after, now):
        return after
    reservation = reservations.get(reservation_id)
    if reservation is None and (expired := after.pop(f"s:{reservation_id}", None)):
        reservation = Reservation.parse(expired)
    if reservation is None:
        reservation = Reservation(
            expires=0, created=now, counted_in=_counters_for_lost(after, now, renewal.rules, edges)
        )
        after["ttl"] = str(max(int(after.get("ttl", 0)), ttl_ms(renewal.rules)))
    reservation = replace(
        reservation,
        expires=now + RESERVATION_MS,
        tokens=max(reservation.tokens, renewal.tokens),
        cost=max(reservation.cost, renewal.cost),
        reported_tokens=max(reservation.reported_tokens, renewal.tokens),
        reported_cost=max(reservation.reported_cost, renewal.cost),
    )
    after[f"l:{reservation_id}"] = reservation.format()
    return after


def settle(state: State, now: int, settlement: Settlement) -> tuple[State, bool]:
    """End a reservation and count its real usage: all of it, or what was not charged when it expired.

    False, and no effect, if it was settled before or expired long ago.
    """
    after, reservation_id = dict(state), settlement.reservation_id
    reservation = _expire(after, now).get(reservation_id)
    expired = after.pop(f"s:{reservation_id}", None)
    if reservation is None and expired:
        reservation = Reservation.parse(expired)
    if reservation is None:
        return after, False
    for counter, counted_in in reservation.counted_in.items():
        if counter[1] != "r":
            add_usage(after, counter, counted_in, reservation.due(counter, settlement.tokens, settlement.cost), now)
        elif settlement.refund_request:
            refund_request(after, counter, counted_in)
    after.pop(f"l:{reservation_id}", None)
    settled = recently_settled(after, now)
    settled.pop(reservation_id, None)
    settled[reservation_id] = now + SETTLED_MS
    after["d"] = " ".join([f"{until}:{name}" for name, until in settled.items()][-SETTLED_KEPT:])
    return after, True


def reset(state: State, now: int, rule: str | None) -> State:
    """Forget what was used under one rule, or all. Running answers stay."""
    kept = {
        name: value
        for name, value in state.items()
        if name[0] not in "bwcz" or (rule is not None and name.partition(":")[2] != rule)
    }
    return kept | {f"z:{rule or ''}": str(now), "ttl": state.get("ttl", str(KEPT_MS["month"]))}


def live_reservations(state: State, now: int) -> dict[str, Reservation]:
    return _expire(dict(state), now)


def _expire(state: State, now: int) -> dict[str, Reservation]:
    """Charge expired reservations what they last reported; return the live ones by id.

    Corrects what a clock that has stepped back since left: nothing lasts longer than if it were written now.
    """
    live = {}
    for name in [name for name in state if name[0] in "bw"]:
        move_future_to_now(state, name, now)
    for name in sorted(name for name in state if name[:2] in ("l:", "s:")):
        reservation = Reservation.parse(state[name])
        is_live, reservation_id = name[0] == "l", name[2:]
        latest = now + (RESERVATION_MS if is_live else EXPIRED_KEPT_MS)
        if reservation.expires > latest:
            reservation = replace(reservation, expires=latest)
            state[name] = reservation.format()
        if reservation.expires > now:
            if is_live:
                live[reservation_id] = reservation
            continue
        del state[name]
        if is_live:
            state[f"s:{reservation_id}"] = _charge(state, reservation, now).format()
    return live


def _charge(state: State, reservation: Reservation, now: int) -> Reservation:
    """Count what an expired reservation last reported; returns it as it is kept from now on."""
    tokens, cost = reservation.reported_tokens, reservation.reported_cost
    for counter, counted_in in reservation.counted_in.items():
        if counter[1] != "r":
            add_usage(state, counter, counted_in, reservation.due(counter, tokens, cost), reservation.expires)
    return replace(reservation, expires=now + EXPIRED_KEPT_MS, charged_tokens=tokens, charged_cost=cost)


def _counters_for_lost(
    state: State, now: int, rules: Sequence[Rule], edges: Mapping[Period, PeriodEdges]
) -> dict[str, int]:
    """`counted_in` of a reservation that the state has lost; its request was counted before and is left out."""
    counted_in = {}
    for rule in rules:
        if rule.unit not in ("token", "cost"):
            continue
        if rule.period:
            counted_in[rule.field] = calendar_count(state, rule, now, edges[rule.period], 0)[0]
        else:
            state.setdefault(rule.field, str(rule.slot_ms))
            counted_in[rule.field] = 0
    return counted_in


def _amounts_to_reserve(request: ReservationRequest, states: Sequence[RuleState]) -> tuple[int, int]:
    """Tokens and cost: all that is requested, or what is left."""
    tokens, max_cost = request.tokens, request.cost
    for state in states:
        left = state.rule.capacity - state.used - state.reserved
        if state.rule.unit == "token":
            tokens = min(tokens, left)
        elif state.rule.unit == "cost" and left < request.cost:
            max_cost = min(max_cost, left)
            tokens = min(tokens, max(request.tokens_for(left), request.needed("token")))
    return tokens, max_cost if tokens == request.tokens else min(max_cost, request.cost_of(tokens))
