"""The limiter's verbs. Each comes for the event loop and, with `_sync`, for plain code.

A verb is written once, as a generator of steps; `chat.limits.steps` runs them.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from django.conf import settings
from django.core.signals import setting_changed

from chat import errors
from chat.limits import ledger, periods
from chat.limits import rules as pure
from chat.limits.local_fallback import Fallback
from chat.limits.messages import Violation, headers, refusal
from chat.limits.refusal_log import refusals as recorded_refusals
from chat.limits.reservations import live_leases
from chat.limits.steps import Step, Steps, drive, run
from chat.limits.stores import LockStore, RedisStore, Renewal, Store, StoreDown, open_store
from chat.limits.values import NEVER, Decision, Edges, Period, Request, Rule, RuleState, State

__all__ = [
    "Grant",
    "PastRefusal",
    "Renewal",
    "RunningLease",
    "Violation",
    "degraded",
    "headers",
    "is_shared",
    "leases",
    "leases_sync",
    "peek",
    "peek_sync",
    "refusals",
    "refusals_sync",
    "renew",
    "renew_many",
    "reserve",
    "reserve_sync",
    "reset",
    "reset_sync",
    "settle",
    "settle_sync",
]

Ask = Callable[[Store, Sequence[Rule], Mapping[str, int]], Decision]
Divide = Callable[[dict[str, int]], dict[str, int]]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`tokens` and `cost` are what is held, perhaps less than asked. `already`: the lease was live
    before this call, so its taker releases it. `remaining`: where each rule stands now."""

    lease_id: str
    tokens: int
    cost: int
    already: bool = False
    remaining: tuple[RuleState, ...] = ()
    degraded: bool = False


@dataclass(frozen=True, kw_only=True)
class RunningLease:
    lease_id: str
    started: dt.datetime
    tokens: int
    cost: int
    tokens_so_far: int
    cost_so_far: int


@dataclass(frozen=True, kw_only=True)
class PastRefusal:
    """Equal refusals within a minute are one; `waits` are seconds by rule name, None for never."""

    first: dt.datetime
    last: dt.datetime
    times: int
    waits: Mapping[str, int | None]


async def reserve(
    subject: str, rules: Sequence[Rule], *, lease_id: str, tokens: int = 0, cost: int = 0, min_tokens: int = 256
) -> Grant:
    """Admits one request under all rules, or consumes nothing and raises `LimitExceeded`.

    Tokens may be granted short, down to `min_tokens`, with the cost in proportion. The
    lease runs out after 45 seconds unless it is renewed. Raises `LimiterDown`.
    """
    request = Request(lease_id=lease_id, tokens=tokens, cost=cost, min_tokens=min_tokens)
    steps = _reserve(subject, rules, request)
    if not _store().remote:
        return await drive(steps)
    task = asyncio.ensure_future(drive(steps))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(partial(_give_back, subject))
        raise


def reserve_sync(
    subject: str, rules: Sequence[Rule], *, lease_id: str, tokens: int = 0, cost: int = 0, min_tokens: int = 256
) -> Grant:
    request = Request(lease_id=lease_id, tokens=tokens, cost=cost, min_tokens=min_tokens)
    return run(_reserve(subject, rules, request))


async def renew(subject: str, rules: Sequence[Rule], *, lease_id: str, tokens: int, cost: int) -> None:
    """The heartbeat of a running answer: `tokens` and `cost` are its whole usage so far. Raises `LimiterDown`."""
    await renew_many([Renewal(subject=subject, rules=tuple(rules), lease_id=lease_id, tokens=tokens, cost=cost)])


async def renew_many(renewals: Sequence[Renewal]) -> None:
    """All heartbeats of a process in one round trip. Raises `LimiterDown`."""
    await drive(_renew(renewals))


async def settle(
    subject: str,
    rules: Sequence[Rule] = (),
    *,
    lease_id: str,
    tokens: int,
    cost: int,
    refund_request: bool = False,
) -> bool:
    """Ends the lease and books what was really taken; True for the one call that did so.

    The lease knows what it was reserved under, so `rules` may stay empty. A lease that ran
    out before was charged its last heartbeat; up to a quarter of an hour later this call
    charges the rest. Raises `LimiterDown`.
    """
    return await drive(_settle(subject, lease_id, tokens, cost, refund_request))


def settle_sync(
    subject: str,
    rules: Sequence[Rule] = (),
    *,
    lease_id: str,
    tokens: int,
    cost: int,
    refund_request: bool = False,
) -> bool:
    return run(_settle(subject, lease_id, tokens, cost, refund_request))


async def peek(subject: str, rules: Sequence[Rule]) -> list[RuleState]:
    """Where each rule stands; changes nothing. Raises `LimiterDown`."""
    return await drive(_peek(subject, rules))


def peek_sync(subject: str, rules: Sequence[Rule]) -> list[RuleState]:
    return run(_peek(subject, rules))


async def leases(subject: str) -> list[RunningLease]:
    """The running answers, oldest first. Raises `LimiterDown`."""
    return await drive(_leases(subject))


def leases_sync(subject: str) -> list[RunningLease]:
    return run(_leases(subject))


async def refusals(subject: str) -> list[PastRefusal]:
    """The most recent refusals, newest first. Raises `LimiterDown`."""
    return await drive(_refusals(subject))


def refusals_sync(subject: str) -> list[PastRefusal]:
    return run(_refusals(subject))


async def reset(subject: str, rule: str | None = None) -> None:
    """Gives back what was used under one rule, or all; running answers go on. Raises `LimiterDown`."""
    await drive(_reset(subject, rule))


def reset_sync(subject: str, rule: str | None = None) -> None:
    run(_reset(subject, rule))


def _reserve(subject: str, rules: Sequence[Rule], request: Request) -> Steps[Grant]:
    ask = partial(_ask_reserve, subject, request)
    store = _store()
    try:
        if known := _fallback.taken.get(request.lease_id):
            yield from _renew([known])
        return _grant(subject, request, (yield from _warm(store, subject, rules, ask)))
    except StoreDown:
        if _when_down(subject) == "open":
            return Grant(lease_id=request.lease_id, tokens=request.tokens, cost=request.cost, degraded=True)
    grant = _grant(subject, request, (yield from _locally(subject, rules, ask)), degraded=True)
    _fallback.taken[grant.lease_id] = Renewal(
        subject=subject, rules=tuple(rules), lease_id=grant.lease_id, tokens=0, cost=0
    )
    return grant


def _ask_reserve(
    subject: str, request: Request, store: Store, rules: Sequence[Rule], seeds: Mapping[str, int]
) -> Decision:
    return store.reserve(subject, rules, request, _edges, seeds)


def _ask_peek(subject: str, store: Store, rules: Sequence[Rule], seeds: Mapping[str, int]) -> Decision:
    now, state = store.read(subject)
    return pure.peek(state, now, rules, edges=_edges(now), seeds=seeds)


def _warm(store: Store, subject: str, rules: Sequence[Rule], ask: Ask, divide: Divide = dict) -> Steps[Decision]:
    """Asks the store, and once more with the ledger's sums where it says that it has lost them."""
    user_id = ledger.user_of(subject)
    decision: Decision = yield Step(partial(ask, store, rules, {}), remote=store.remote)
    if decision.cold:
        lost = [rule for rule in rules if rule.name in decision.cold]
        seeds = dict.fromkeys(decision.cold, 0)
        if user_id is not None:
            seeds = yield Step(partial(ledger.seeds, user_id, lost, _edges(decision.now)), database=True)
        decision = yield Step(partial(ask, store, rules, divide(seeds)), remote=store.remote)
    return decision


def _locally(subject: str, rules: Sequence[Rule], ask: Ask) -> Steps[Decision]:
    if _when_down(subject) != "local":
        raise errors.LimiterUnavailable
    if _fallback.must_recount():
        yield Step(_fallback.recount, database=True)
    _fallback.enter(subject, _outages())
    divide = partial(_fallback.share_left, rules)
    return (yield from _warm(_fallback.store, subject, _fallback.share(rules), ask, divide))


def _when_down(subject: str) -> str:
    """People may be let through; who has not logged in never is."""
    mode: str = settings.LIMITER_WHEN_DOWN
    return "local" if mode == "open" and ledger.user_of(subject) is None else mode


def _grant(subject: str, request: Request, decision: Decision, degraded: bool = False) -> Grant:
    if not decision.allowed:
        raise _exceeded(subject, decision)
    return Grant(
        lease_id=request.lease_id,
        tokens=decision.tokens,
        cost=decision.cost,
        already=decision.already,
        remaining=decision.states,
        degraded=degraded,
    )


def _exceeded(subject: str, decision: Decision) -> errors.LimitExceeded:
    violations = [
        Violation(rule=each.rule, wait=_seconds(each.wait_ms), limit=each.limit, used=each.used)
        for each in decision.violated
    ]
    waits = [each.wait for each in violations]
    retry_after = None if None in waits else max(wait for wait in waits if wait is not None)
    if retry_after is not None and any(each.rule.period and each.wait == retry_after for each in violations):
        retry_after += random.randrange(4)  # noqa: S311  spreads those who wait for the same midnight
    message = refusal(subject, violations, retry_after)
    return errors.LimitExceeded(message, retry_after=retry_after, violations=violations)


def _seconds(wait_ms: int) -> int | None:
    return None if wait_ms == NEVER else max(1, -(-wait_ms // 1000))


def _renew(renewals: Sequence[Renewal]) -> Steps[None]:
    store = _store()
    try:
        if renewals:
            yield Step(partial(store.renew, renewals, _edges), remote=store.remote)
    except StoreDown:
        if settings.LIMITER_WHEN_DOWN != "local":
            raise errors.LimiterUnavailable from None
        _fallback.store.renew(renewals, _edges)
    else:
        for each in renewals:
            _fallback.taken.pop(each.lease_id, None)


def _settle(subject: str, lease_id: str, tokens: int, cost: int, refund_request: bool) -> Steps[bool]:
    store, taken = _store(), _fallback.taken.pop(lease_id, None)
    if store.remote and _fallback.used:
        _fallback.store.settle(subject, lease_id=lease_id, tokens=tokens, cost=cost, refund_request=refund_request)
    try:
        if taken:
            announce = partial(store.renew, [replace(taken, tokens=tokens, cost=cost)], _edges)
            yield Step(announce, remote=store.remote)
        call = partial(
            store.settle, subject, lease_id=lease_id, tokens=tokens, cost=cost, refund_request=refund_request
        )
        return (yield Step(call, remote=store.remote))
    except StoreDown:
        if taken is None:
            raise errors.LimiterUnavailable from None
        return True


def _peek(subject: str, rules: Sequence[Rule]) -> Steps[list[RuleState]]:
    ask = partial(_ask_peek, subject)
    try:
        decision = yield from _warm(_store(), subject, rules, ask)
    except StoreDown:
        if _when_down(subject) == "open":
            raise errors.LimiterUnavailable from None
        decision = yield from _locally(subject, rules, ask)
    return list(decision.states)


def _read(subject: str) -> Steps[tuple[int, State]]:
    store = _store()
    try:
        return (yield Step(partial(store.read, subject), remote=store.remote))
    except StoreDown:
        raise errors.LimiterUnavailable from None


def _leases(subject: str) -> Steps[list[RunningLease]]:
    now, state = yield from _read(subject)
    found = [
        RunningLease(
            lease_id=lease_id,
            started=_moment(lease.created),
            tokens=lease.tokens,
            cost=lease.cost,
            tokens_so_far=lease.floor_tokens,
            cost_so_far=lease.floor_cost,
        )
        for lease_id, lease in live_leases(state, now).items()
    ]
    return sorted(found, key=lambda lease: lease.started)


def _refusals(subject: str) -> Steps[list[PastRefusal]]:
    _now, state = yield from _read(subject)
    return [
        PastRefusal(
            first=_moment(each.first),
            last=_moment(each.last),
            times=each.times,
            waits={name: _seconds(wait) for name, wait in each.waits_ms.items()},
        )
        for each in reversed(recorded_refusals(state))
    ]


def _reset(subject: str, rule: str | None) -> Steps[None]:
    store = _store()
    try:
        yield Step(partial(store.reset, subject, rule), remote=store.remote)
    except StoreDown:
        raise errors.LimiterUnavailable from None


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


_returning: set[asyncio.Task[bool]] = set()


def _give_back(subject: str, task: asyncio.Task[Grant]) -> None:
    """Whoever asked is gone: a lease that nobody will use must not count for 45 seconds."""
    if task.cancelled() or task.exception() or task.result().already:
        return
    steps = _settle(subject, task.result().lease_id, 0, 0, True)
    giving = asyncio.ensure_future(drive(steps))
    _returning.add(giving)
    giving.add_done_callback(_returning.discard)


_stores: list[LockStore | RedisStore] = []
_fallback = Fallback()


def degraded() -> bool:
    """Whether the shared store fails right now, so that limits are decided as `LIMITER_WHEN_DOWN` says."""
    store = _store()
    return isinstance(store, RedisStore) and store.breaker.failing


def is_shared() -> bool:
    """Whether other processes see the same records."""
    return _store().remote


def _store() -> LockStore | RedisStore:
    if not _stores:
        _stores.append(open_store())
    return _stores[0]


def _outages() -> int:
    store = _store()
    return store.breaker.outages if isinstance(store, RedisStore) else 0


def _forget_store(*, setting: str, **_kwargs: object) -> None:
    global _fallback
    if setting == "CACHES":
        _stores.clear()
        _fallback = Fallback()


setting_changed.connect(_forget_store)

_days: dict[str, dict[Period, Edges]] = {}


def _edges(now: int) -> Mapping[Period, Edges]:
    """Kept for the day: making them costs more than a decision."""
    known = _days.get(settings.TIME_ZONE)
    if known is None or not known["day"][0] <= now < known["day"][1]:
        known = _days[settings.TIME_ZONE] = periods.edges(now, zoneinfo.ZoneInfo(settings.TIME_ZONE))
    return known
