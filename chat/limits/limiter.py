"""The limiter of this process: reserve, renew, settle, and read or reset what a subject has used.

`reserve`, `renew` and `settle` are for the event loop. What ends in `_sync` is for synchronous code and may block.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import zoneinfo
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from django.conf import settings

from chat import errors
from chat.infra.database_threads import run_in_db_thread
from chat.infra.process import process
from chat.infra.tasks import create_background_task
from chat.limits import ledger
from chat.limits.local_fallback import LocalFallback
from chat.limits.messages import Violation, headers, limit_exceeded
from chat.limits.periods import Periods
from chat.limits.refusal_log import refusals
from chat.limits.rules import live_reservations
from chat.limits.stores import StoreDown, open_store
from chat.limits.values import (
    Decision,
    Grant,
    PastRefusal,
    Renewal,
    ReservationRequest,
    Rule,
    RuleState,
    RunningReservation,
    Settlement,
    State,
    wait_seconds,
)

__all__ = ["Grant", "Limiter", "PastRefusal", "Renewal", "RunningReservation", "Violation", "current", "headers"]

T = TypeVar("T")


def current() -> Limiter:
    """The limiter of this process, for any thread and event loop."""
    return process.part(Limiter)


class Limiter:
    """Decides in the store of the configured cache, and as `LIMITER_WHEN_DOWN` says while that is down."""

    def __init__(self) -> None:
        self._periods = Periods(zoneinfo.ZoneInfo(settings.TIME_ZONE))
        self._store = open_store(self._periods)
        self._fallback = LocalFallback(self._periods)
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="limits")

    @property
    def is_shared(self) -> bool:
        """Whether other processes see what this one counts."""
        return self._store.is_shared

    @property
    def is_degraded(self) -> bool:
        """Whether the shared store fails right now, so that limits are decided without it."""
        return self._store.is_failing

    async def reserve(
        self,
        subject: str,
        rules: Sequence[Rule],
        *,
        reservation_id: str,
        tokens: int = 0,
        cost: int = 0,
        min_tokens: int = 256,
    ) -> Grant:
        """Admit one request under all rules, or change nothing and raise `LimitExceeded`.

        Fewer tokens may be granted, down to `min_tokens`, with the cost (micro-dollars) in proportion. The
        reservation expires after 45 seconds unless it is renewed. A cancelled call leaves no reservation.
        Raises `LimiterUnavailable`, `DatabaseUnavailable`.
        """
        request = ReservationRequest(reservation_id=reservation_id, tokens=tokens, cost=cost, min_tokens=min_tokens)
        if not self._store.is_shared:
            return await self._reserve(subject, rules, request)
        task = asyncio.ensure_future(self._reserve(subject, rules, request))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(self._release, subject))
            raise

    def reserve_sync(
        self,
        subject: str,
        rules: Sequence[Rule],
        *,
        reservation_id: str,
        tokens: int = 0,
        cost: int = 0,
        min_tokens: int = 256,
    ) -> Grant:
        """As `reserve`."""
        request = ReservationRequest(reservation_id=reservation_id, tokens=tokens, cost=cost, min_tokens=min_tokens)
        decide = partial(self._store.reserve, subject, rules, request)
        try:
            self._announce(reservation_id)
            decision = ledger.decide_with_counts(subject, rules, self._periods, decide)
        except StoreDown:
            return self._reserve_without_store(subject, rules, request)
        return _grant(subject, request, decision)

    async def renew(self, renewals: Sequence[Renewal]) -> None:
        """Extend reservations by 45 seconds, all in one round trip. Raises `LimiterUnavailable`."""
        if renewals:
            await self._run(partial(self._renew, renewals))

    async def settle(
        self, subject: str, *, reservation_id: str, tokens: int, cost: int, refund_request: bool = False
    ) -> bool:
        """End a reservation and count its real usage; True for the one call that did so.

        `refund_request` gives the request back. A reservation that expired was charged what its last renewal
        reported; up to a quarter of an hour later this call charges the rest. Raises `LimiterUnavailable`.
        """
        settlement = Settlement(reservation_id=reservation_id, tokens=tokens, cost=cost, refund_request=refund_request)
        return await self._run(partial(self._settle, subject, settlement))

    def settle_sync(
        self, subject: str, *, reservation_id: str, tokens: int, cost: int, refund_request: bool = False
    ) -> bool:
        """As `settle`."""
        settlement = Settlement(reservation_id=reservation_id, tokens=tokens, cost=cost, refund_request=refund_request)
        return self._settle(subject, settlement)

    def peek_sync(self, subject: str, rules: Sequence[Rule]) -> list[RuleState]:
        """How much of each rule is used; changes nothing. Raises `LimiterUnavailable`, `DatabaseUnavailable`."""
        peek = partial(self._store.peek, subject, rules)
        try:
            decision = ledger.decide_with_counts(subject, rules, self._periods, peek)
        except StoreDown:
            if _when_down(subject) != "local":
                raise errors.LimiterUnavailable from None
            decision = self._fallback.peek(subject, rules, self._store.outages)
        return list(decision.states)

    def reservations_sync(self, subject: str) -> list[RunningReservation]:
        """The live reservations, oldest first. Raises `LimiterUnavailable`."""
        now, state = self._read(subject)
        found = [
            RunningReservation(
                reservation_id=reservation_id,
                started=_datetime(each.created),
                tokens=each.tokens,
                cost=each.cost,
                tokens_so_far=each.reported_tokens,
                cost_so_far=each.reported_cost,
            )
            for reservation_id, each in live_reservations(state, now).items()
        ]
        return sorted(found, key=lambda each: each.started)

    def refusals_sync(self, subject: str) -> list[PastRefusal]:
        """The most recent refusals, newest first. Raises `LimiterUnavailable`."""
        _now, state = self._read(subject)
        return [
            PastRefusal(
                first=_datetime(each.first),
                last=_datetime(each.last),
                times=each.times,
                waits={name: wait_seconds(wait_ms) for name, wait_ms in each.waits_ms.items()},
            )
            for each in reversed(refusals(state))
        ]

    def reset_sync(self, subject: str, rule: str | None = None) -> None:
        """Forget what was used under one rule, or all; running answers go on. Raises `LimiterUnavailable`."""
        try:
            self._store.reset(subject, rule)
        except StoreDown:
            raise errors.LimiterUnavailable from None

    async def _run(self, call: Callable[[], T]) -> T:
        """Call the store: in a thread if it is shared, because then it blocks."""
        if not self._store.is_shared:
            return call()
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _reserve(self, subject: str, rules: Sequence[Rule], request: ReservationRequest) -> Grant:
        decide = partial(self._store.reserve, subject, rules, request)
        try:
            if request.reservation_id in self._fallback.unannounced:
                await self._run(partial(self._announce, request.reservation_id))
            decision = await self._run(decide)
            if decision.missing_counts:
                edges = self._periods.at(decision.now)
                counts = await run_in_db_thread(ledger.initial_counts, subject, rules, decision, edges)
                decision = await self._run(partial(decide, counts))
        except StoreDown:
            return await run_in_db_thread(self._reserve_without_store, subject, rules, request)
        return _grant(subject, request, decision)

    def _reserve_without_store(self, subject: str, rules: Sequence[Rule], request: ReservationRequest) -> Grant:
        mode = _when_down(subject)
        if mode == "open":
            return Grant(reservation_id=request.reservation_id, tokens=request.tokens, cost=request.cost, degraded=True)
        if mode == "closed":
            raise errors.LimiterUnavailable
        decision = self._fallback.reserve(subject, rules, request, self._store.outages)
        return _grant(subject, request, decision, degraded=True)

    def _renew(self, renewals: Sequence[Renewal]) -> None:
        try:
            self._store.renew(renewals)
        except StoreDown:
            if settings.LIMITER_WHEN_DOWN != "local":
                raise errors.LimiterUnavailable from None
            self._fallback.store.renew(renewals)
        else:
            for each in renewals:
                self._fallback.unannounced.pop(each.reservation_id, None)

    def _settle(self, subject: str, settlement: Settlement) -> bool:
        unannounced = self._fallback.unannounced.pop(settlement.reservation_id, None)
        if self._fallback.was_used:
            self._fallback.store.settle(subject, settlement)
        try:
            if unannounced:
                self._store.renew([replace(unannounced, tokens=settlement.tokens, cost=settlement.cost)])
            return self._store.settle(subject, settlement)
        except StoreDown:
            if unannounced is None:
                raise errors.LimiterUnavailable from None
            return True

    def _announce(self, reservation_id: str) -> None:
        """Tell the shared store of a reservation that was granted without it."""
        if renewal := self._fallback.unannounced.get(reservation_id):
            self._renew([renewal])

    def _release(self, subject: str, task: asyncio.Task[Grant]) -> None:
        """The caller is gone: a reservation that nobody will use must not count for 45 seconds."""
        if not task.cancelled() and not task.exception() and task.result().is_new:
            create_background_task(self._refund(subject, task.result().reservation_id))

    async def _refund(self, subject: str, reservation_id: str) -> None:
        with suppress(errors.LimiterUnavailable):  # then it expires
            await self.settle(subject, reservation_id=reservation_id, tokens=0, cost=0, refund_request=True)

    def _read(self, subject: str) -> tuple[int, State]:
        try:
            return self._store.read(subject)
        except StoreDown:
            raise errors.LimiterUnavailable from None


def _when_down(subject: str) -> str:
    """How to decide without the shared store. `open` is for users only: login attempts stay limited."""
    mode: str = settings.LIMITER_WHEN_DOWN
    return "local" if mode == "open" and ledger.user_of(subject) is None else mode


def _grant(subject: str, request: ReservationRequest, decision: Decision, *, degraded: bool = False) -> Grant:
    if not decision.allowed:
        raise limit_exceeded(subject, decision.violated)
    return Grant(
        reservation_id=request.reservation_id,
        tokens=decision.tokens,
        cost=decision.cost,
        is_new=decision.is_new,
        states=decision.states,
        degraded=degraded,
    )


def _datetime(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
