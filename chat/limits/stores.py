"""Where subjects' records live: the Django cache, under a lock in process or by one script in Redis."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import redis
from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django_redis.cache import RedisCache

from chat.limits import rules as pure
from chat.limits.circuit_breaker import Breaker
from chat.limits.periods import ttl_ms
from chat.limits.reservations import SWEPT_MS
from chat.limits.values import UNKNOWN, Decision, Edges, Period, Request, Rule, RuleState, State

logger = logging.getLogger(__name__)

T = TypeVar("T")
EdgesAt = Callable[[int], Mapping[Period, Edges]]
SCRIPT = Path(__file__).with_name("limits.lua").read_text(encoding="utf-8")


class StoreDown(Exception):
    """The shared store cannot be asked right now."""


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The heartbeat of one lease: its whole usage so far."""

    subject: str
    rules: tuple[Rule, ...]
    lease_id: str
    tokens: int
    cost: int


class Store(Protocol):
    """Every call may raise `StoreDown`; a `remote` one may block."""

    remote: bool

    def reserve(
        self, subject: str, rules: Sequence[Rule], request: Request, edges: EdgesAt, seeds: Mapping[str, int]
    ) -> Decision: ...

    def renew(self, renewals: Sequence[Renewal], edges: EdgesAt) -> None: ...

    def settle(self, subject: str, *, lease_id: str, tokens: int, cost: int, refund_request: bool) -> bool: ...

    def read(self, subject: str) -> tuple[int, State]: ...

    def reset(self, subject: str, rule: str | None) -> None: ...


def alias() -> str:
    return "ratelimit" if "ratelimit" in settings.CACHES else "default"


def open_store() -> LockStore | RedisStore:
    """For the configured cache, on a connection of its own."""
    cache = caches.create_connection(alias())
    return RedisStore(cache) if isinstance(cache, RedisCache | DjangoRedisCache) else LockStore(cache)


def key_of(subject: str) -> str:
    return f"rl:{subject}"


def present_ms() -> int:
    return int(time.time() * 1000)


class LockStore:
    """Read, decide and write under one lock; right only where no other process shares the cache."""

    remote = False

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    def reserve(
        self, subject: str, rules: Sequence[Rule], request: Request, edges: EdgesAt, seeds: Mapping[str, int]
    ) -> Decision:
        with self._lock:
            now, state = self.read(subject)
            after, decision = pure.decide(state, now, rules, request, edges=edges(now), seeds=seeds)
            self._write(subject, state, after)
            return decision

    def renew(self, renewals: Sequence[Renewal], edges: EdgesAt) -> None:
        for each in renewals:
            with self._lock:
                now, state = self.read(each.subject)
                after = pure.renew(
                    state,
                    now,
                    each.rules,
                    lease_id=each.lease_id,
                    tokens=each.tokens,
                    cost=each.cost,
                    edges=edges(now),
                )
                self._write(each.subject, state, after)

    def settle(self, subject: str, *, lease_id: str, tokens: int, cost: int, refund_request: bool) -> bool:
        with self._lock:
            now, state = self.read(subject)
            after, settled = pure.settle(
                state, now, lease_id=lease_id, tokens=tokens, cost=cost, refund_request=refund_request
            )
            self._write(subject, state, after)
            return settled

    def read(self, subject: str) -> tuple[int, State]:
        return present_ms(), self._cache.get(key_of(subject)) or {}

    def reset(self, subject: str, rule: str | None) -> None:
        with self._lock:
            now, state = self.read(subject)
            self._write(subject, state, pure.reset(state, now, rule))

    def forget_quotas(self, subject: str) -> None:
        """Calendar counts are asked for anew."""
        with self._lock:
            _now, state = self.read(subject)
            self._write(subject, state, {name: text for name, text in state.items() if name[0] != "c"})

    def _write(self, subject: str, before: State, after: State) -> None:
        if after != before:
            self._cache.set(key_of(subject), after, timeout=int(after.get("ttl", SWEPT_MS)) / 1000)


class RedisStore:
    """One script call, one round trip, for any number of rules; the time is the server's."""

    remote = True

    def __init__(self, cache: RedisCache | DjangoRedisCache) -> None:
        self._cache = cache
        self._client: redis.Redis = _raw_client(cache)
        self._script = self._client.register_script(SCRIPT)
        self.breaker = Breaker()

    def reserve(
        self, subject: str, rules: Sequence[Rule], request: Request, edges: EdgesAt, seeds: Mapping[str, int]
    ) -> Decision:
        args = reserve_args(rules, request, edges(present_ms()), seeds)
        return decision_from(self._call(subject, args), rules)

    def renew(self, renewals: Sequence[Renewal], edges: EdgesAt) -> None:
        now = edges(present_ms())
        self._guard(lambda: self._pipeline([(each.subject, renew_args(each, now)) for each in renewals]))

    def settle(self, subject: str, *, lease_id: str, tokens: int, cost: int, refund_request: bool) -> bool:
        return bool(self._call(subject, settle_args(lease_id, tokens, cost, refund_request)))

    def read(self, subject: str) -> tuple[int, State]:
        def fetch() -> list[Any]:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hgetall(self._key(subject))
                return pipe.execute()

        (seconds, micros), fields = self._guard(fetch)
        return seconds * 1000 + micros // 1000, {name.decode(): value.decode() for name, value in fields.items()}

    def reset(self, subject: str, rule: str | None) -> None:
        self._call(subject, reset_args(rule))

    def _key(self, subject: str) -> str:
        return str(self._cache.make_key(key_of(subject)))

    def _call(self, subject: str, args: Sequence[str | int]) -> Any:
        return self._guard(lambda: self._script(keys=[self._key(subject)], args=args))

    def _pipeline(self, calls: Iterable[tuple[str, Sequence[str | int]]]) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            for subject, args in calls:
                pipe.evalsha(self._script.sha, 1, self._key(subject), *args)
            replies = pipe.execute(raise_on_error=False)
        failed = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if isinstance(failed, redis.exceptions.NoScriptError):
            self._client.script_load(SCRIPT)
            self._pipeline(calls)
        elif failed is not None:
            raise failed

    def _guard(self, call: Callable[[], T]) -> T:
        if not self.breaker.allows():
            raise StoreDown
        try:
            result = call()
        except redis.RedisError as error:
            if self.breaker.failed():
                logger.error("limits: the cache does not answer (%s); deciding without it", type(error).__name__)
            raise StoreDown from error
        if self.breaker.worked():
            logger.warning("limits: the cache answers again")
        return result


def _raw_client(cache: RedisCache | DjangoRedisCache) -> Any:
    if isinstance(cache, RedisCache):
        return cache.client.get_client(write=True)
    return cache._cache.get_client(write=True)


def reserve_args(
    rules: Sequence[Rule], request: Request, edges: Mapping[Period, Edges], seeds: Mapping[str, int]
) -> list[str | int]:
    words = [_words(rule, request.need(rule.unit), edges, seeds.get(rule.name, UNKNOWN)) for rule in rules]
    amounts = (request.tokens, request.cost, request.need("token"))
    return ["reserve", "", request.lease_id, *amounts, ttl_ms(rules), " ".join(words)]


def renew_args(renewal: Renewal, edges: Mapping[Period, Edges]) -> list[str | int]:
    words = " ".join(_words(rule, 0, edges, 0) for rule in renewal.rules)
    return ["renew", "", renewal.lease_id, renewal.tokens, renewal.cost, ttl_ms(renewal.rules), words]


def settle_args(lease_id: str, tokens: int, cost: int, refund_request: bool) -> list[str | int]:
    return ["settle", "", lease_id, tokens, cost, int(refund_request)]


def reset_args(rule: str | None) -> list[str | int]:
    return ["reset", "", "", 0, 0, rule or ""]


def _words(rule: Rule, need: int, edges: Mapping[Period, Edges], seed: int) -> str:
    length = rule.window_ms if rule.kind == "bucket" else rule.slot_ms
    first, last, after = edges[rule.period] if rule.period else (length, 0, 0)
    return f"{rule.field} {rule.limit} {rule.capacity} {need} {rule.refundable:d} {first} {last} {after} {seed}"


def decision_from(reply: Sequence[int], rules: Sequence[Rule]) -> Decision:
    """The script's answer: 0 refused, 1 granted, 2 granted before, 3 cold; then four numbers a rule."""
    status, now, *rest = reply
    if status == 3:
        return Decision(cold=tuple(rules[index].name for index in rest), now=now)
    tokens, cost, *numbers = rest
    states = tuple(
        RuleState(rule=rule, used=used, held=held, wait_ms=wait_ms, resets_ms=resets_ms)
        for rule, used, held, wait_ms, resets_ms in zip(
            rules, numbers[::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True
        )
    )
    allowed, already = status > 0, status == 2
    return Decision(allowed=allowed, already=already, tokens=tokens, cost=cost, states=states, now=now)


def eviction_policy(cache: RedisCache | DjangoRedisCache) -> str:
    """What Redis drops first when its memory is full; empty where it does not tell. Raises `redis.RedisError`."""
    return str(_raw_client(cache).info("memory").get("maxmemory_policy", ""))
