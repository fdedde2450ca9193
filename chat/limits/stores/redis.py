"""States in Redis, decided on by `limits.lua`: one script call and one round trip for any number of rules."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import redis
from django.conf import settings
from django.core.cache import caches
from django.utils.module_loading import import_string
from django_redis import get_redis_connection
from django_redis.cache import RedisCache

from chat.limits.circuit_breaker import CircuitBreaker
from chat.limits.periods import PeriodEdges, Periods
from chat.limits.stores.base import KEY_PREFIX, UNKNOWN_COUNTS, Store, StoreDown
from chat.limits.values import (
    UNKNOWN,
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

logger = logging.getLogger(__name__)

T = TypeVar("T")
SCRIPT = Path(__file__).parent.with_name("limits.lua").read_text(encoding="utf-8")


class RedisStore(Store):
    """Uses the time of the Redis server. While it does not answer, most calls fail at once instead of waiting."""

    is_shared = True

    def __init__(self, alias: str, periods: Periods) -> None:
        super().__init__(periods)
        self._make_key = caches[alias].make_key
        self._client = connect(alias)
        self._script = self._client.register_script(SCRIPT)
        self._breaker = CircuitBreaker()

    @property
    def is_failing(self) -> bool:
        return self._breaker.is_failing

    @property
    def outages(self) -> int:
        return self._breaker.outages

    def reserve(
        self,
        subject: str,
        rules: Sequence[Rule],
        request: ReservationRequest,
        initial_counts: Mapping[str, int] = UNKNOWN_COUNTS,
    ) -> Decision:
        return decision_from(self._call(subject, reserve_args(rules, request, self._edges(), initial_counts)), rules)

    def renew(self, renewals: Sequence[Renewal]) -> None:
        edges = self._edges()
        self._guard(lambda: self._pipeline([(each.subject, renew_args(each, edges)) for each in renewals]))

    def settle(self, subject: str, settlement: Settlement) -> bool:
        return bool(self._call(subject, settle_args(settlement)))

    def reset(self, subject: str, rule: str | None) -> None:
        self._call(subject, reset_args(rule))

    def read(self, subject: str) -> tuple[int, State]:
        def fetch() -> list[Any]:
            with self._client.pipeline(transaction=True) as pipe:
                pipe.time()
                pipe.hgetall(self._key(subject))
                return pipe.execute()

        (seconds, micros), fields = self._guard(fetch)
        return seconds * 1000 + micros // 1000, {name.decode(): value.decode() for name, value in fields.items()}

    def _edges(self) -> Mapping[Period, PeriodEdges]:
        """By this machine's clock; the script chooses the current period by the server's."""
        return self._periods.at(int(time.time() * 1000))

    def _key(self, subject: str) -> str:
        return str(self._make_key(KEY_PREFIX + subject))

    def _call(self, subject: str, args: Sequence[str | int]) -> Any:
        return self._guard(lambda: self._script(keys=[self._key(subject)], args=args))

    def _pipeline(self, calls: Sequence[tuple[str, Sequence[str | int]]]) -> None:
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
        if not self._breaker.allows_call():
            raise StoreDown
        try:
            result = call()
        except redis.RedisError as error:
            if self._breaker.record_failure():
                logger.error("limits: Redis does not answer (%s); deciding without it", type(error).__name__)
            raise StoreDown from error
        if self._breaker.record_success():
            logger.warning("limits: Redis answers again")
        return result


def connect(alias: str) -> redis.Redis:
    """A client of the Redis server behind a cache (its primary), with the connection options of that cache."""
    if isinstance(caches[alias], RedisCache):
        client: redis.Redis = get_redis_connection(alias, write=True)
        return client
    location = settings.CACHES[alias]["LOCATION"]
    server = re.split("[;,]", location)[0] if isinstance(location, str) else location[0]
    options = {
        name: import_string(value) if name.endswith("_class") and isinstance(value, str) else value
        for name, value in settings.CACHES[alias].get("OPTIONS", {}).items()
        if name != "serializer"
    }
    pool_class = options.pop("pool_class", redis.ConnectionPool)
    return redis.Redis(connection_pool=pool_class.from_url(server, **options))


def eviction_policy(alias: str) -> str:
    """What Redis drops first when its memory is full; empty where it does not tell. Raises `redis.RedisError`."""
    info: Any = connect(alias).info("memory")
    return str(info.get("maxmemory_policy", ""))


def reserve_args(
    rules: Sequence[Rule],
    request: ReservationRequest,
    edges: Mapping[Period, PeriodEdges],
    initial_counts: Mapping[str, int],
) -> list[str | int]:
    words = [_words(rule, request.needed(rule.unit), edges, initial_counts.get(rule.name, UNKNOWN)) for rule in rules]
    amounts = (request.tokens, request.cost, request.needed("token"))
    return ["reserve", "", request.reservation_id, *amounts, ttl_ms(rules), " ".join(words)]


def renew_args(renewal: Renewal, edges: Mapping[Period, PeriodEdges]) -> list[str | int]:
    words = " ".join(_words(rule, 0, edges, 0) for rule in renewal.rules)
    return ["renew", "", renewal.reservation_id, renewal.tokens, renewal.cost, ttl_ms(renewal.rules), words]


def settle_args(settlement: Settlement) -> list[str | int]:
    refund = int(settlement.refund_request)
    return ["settle", "", settlement.reservation_id, settlement.tokens, settlement.cost, refund]


def reset_args(rule: str | None) -> list[str | int]:
    return ["reset", "", "", 0, 0, rule or ""]


def _words(rule: Rule, need: int, edges: Mapping[Period, PeriodEdges], initial_count: int) -> str:
    """One rule as the script reads it."""
    length = rule.window_ms if rule.kind == "bucket" else rule.slot_ms
    first, last, after = edges[rule.period] if rule.period else (length, 0, 0)
    return (
        f"{rule.field} {rule.limit} {rule.capacity} {need} {rule.refundable:d} {first} {last} {after} {initial_count}"
    )


def decision_from(reply: Sequence[int], rules: Sequence[Rule]) -> Decision:
    """The script's reply: 0 refused, 1 granted, 2 granted before, 3 counts are missing; then four numbers a rule."""
    status, now, *rest = reply
    if status == 3:
        return Decision(missing_counts=tuple(rules[index].name for index in rest), now=now)
    tokens, cost, *numbers = rest
    states = tuple(
        RuleState(rule=rule, used=used, reserved=reserved, wait_ms=wait_ms, resets_ms=resets_ms)
        for rule, used, reserved, wait_ms, resets_ms in zip(
            rules, numbers[::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True
        )
    )
    return Decision(allowed=status > 0, is_new=status != 2, tokens=tokens, cost=cost, states=states, now=now)
