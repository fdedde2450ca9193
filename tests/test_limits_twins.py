"""The script in Redis and the pure function agree on every answer and every stored byte."""

from __future__ import annotations

import os
import random
import uuid
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import pytest
import redis

from chat.limits import rules as pure
from chat.limits.periods import period_edges
from chat.limits.stores import redis as stores
from chat.limits.values import Renewal, ReservationRequest, Rule, Settlement
from tests.conftest import require_service
from tests.services import RedisServer

HISTORIES, STEPS = (400, 300) if os.environ.get("SOAK") == "1" else (40, 110)
MIDNIGHT = 1_793_491_200_000
MINUTE = 60_000
ZONE = ZoneInfo("Europe/Berlin")
RULES = (
    Rule(name="burst", kind="bucket", unit="request", limit=7, window=10, burst=4),
    Rule(name="minute", kind="bucket", unit="request", limit=20, window=60),
    Rule(name="strict", kind="window", unit="request", limit=6, window=20),
    Rule(name="kept", kind="window", unit="request", limit=9, window=60, refundable=False),
    Rule(name="pace", kind="window", unit="token", limit=4_000, window=60),
    Rule(name="spend", kind="window", unit="cost", limit=900, window=40),
    Rule(name="requests_day", kind="calendar", unit="request", limit=40, period="day"),
    Rule(name="requests_month", kind="calendar", unit="request", limit=60, period="month", refundable=False),
    Rule(name="tokens_day", kind="calendar", unit="token", limit=20_000, period="day"),
    Rule(name="cost_month", kind="calendar", unit="cost", limit=5_000, period="month"),
    Rule(name="answers", kind="concurrent", unit="answer", limit=3),
)


@dataclass
class Twins:
    """One subject, kept by both."""

    client: redis.Redis
    key: str
    state: dict[str, str] = field(default_factory=dict)

    def script(self, args, now):
        args[1] = now
        return self.client.eval(stores.SCRIPT, 1, self.key, *args)

    def stored(self):
        return {name.decode(): value.decode() for name, value in self.client.hgetall(self.key).items()}

    def reserve(self, now, rules, request, edges, seeds):
        self.state, ours = pure.decide(self.state, now, rules, request, edges=edges, initial_counts=seeds)
        reply = self.script(stores.reserve_args(rules, request, edges, seeds), now)
        return ours, stores.decision_from(reply, rules)

    def renew(self, now, renewal, edges):
        self.state = pure.renew(self.state, now, renewal, edges=edges)
        self.script(stores.renew_args(renewal, edges), now)

    def settle(self, now, settlement):
        self.state, ours = pure.settle(self.state, now, settlement)
        return ours, bool(self.script(stores.settle_args(settlement), now))

    def reset(self, now, rule):
        self.state = pure.reset(self.state, now, rule)
        self.script(stores.reset_args(rule), now)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    with server.client() as client:
        yield client
    server.stop()


@pytest.fixture
def twins(client):
    return Twins(client=client, key=f"twins-{uuid.uuid4()}")


def step_of_the_clock(dice, now):
    """Mostly on, by anything from nothing to a day; sometimes back."""
    kind = dice.random()
    if kind < 0.9:
        return now + dice.choice((0, 1, 7, 250, 999, 3_000, 15_000, 46_000))
    if kind < 0.95:
        return now - dice.choice((1, 1_000, 30_000, 3_600_000, 86_400_000))
    return now + dice.choice((5 * MINUTE, 3_600_000, 86_400_000, 30 * 86_400_000))


def changed(dice, rule):
    """As an administrator might change it between two requests."""
    if dice.random() < 0.95:
        return rule
    return replace(rule, limit=dice.choice((0, 1, rule.limit * 2, 10**12 if rule.kind != "bucket" else 10**6)))


def one_step(twins, dice, now, rules, ids):
    edges = period_edges(now, ZONE)
    if dice.random() < 0.05:
        edges = period_edges(now + dice.choice((-90_000, 90_000)), ZONE)
    action = dice.random()
    reservation_id = dice.choice(ids) if ids and dice.random() < 0.9 else f"id-{dice.randrange(10**6)}"
    if action < 0.55:
        reservation_id = reservation_id if dice.random() < 0.1 else f"id-{dice.randrange(10**6)}"
        ids.append(reservation_id)
        tokens, cost = dice.choice((0, 1, 300, 2_500, 30_000)), dice.choice((0, 1, 450, 3_333, 10**14 + 1))
        request = ReservationRequest(
            reservation_id=reservation_id, tokens=tokens, cost=cost, min_tokens=dice.choice((0, 1, 256, 5_000))
        )
        seeds = {} if dice.random() < 0.3 else {rule.name: dice.choice((0, 5, 12_345)) for rule in rules}
        ours, theirs = twins.reserve(now, rules, request, edges, seeds)
        assert ours == theirs
    elif action < 0.75:
        renewal = Renewal(
            subject="s",
            rules=rules,
            reservation_id=reservation_id,
            tokens=dice.randrange(4_000),
            cost=dice.randrange(900),
        )
        twins.renew(now, renewal, edges)
    elif action < 0.97:
        settlement = Settlement(
            reservation_id=reservation_id,
            tokens=dice.randrange(9_000),
            cost=dice.randrange(900),
            refund_request=dice.random() < 0.4,
        )
        ours, theirs = twins.settle(now, settlement)
        assert ours == theirs
    else:
        twins.reset(now, dice.choice((None, *(rule.name for rule in rules))))
    assert twins.state == twins.stored()


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_twins_agree_on_every_answer_and_every_byte(twins, seed):
    dice = random.Random(seed)
    rules = tuple(dice.sample(RULES, dice.randint(0, len(RULES))))
    now, ids = MIDNIGHT - 20 * MINUTE + dice.randrange(30 * MINUTE), []
    for _ in range(STEPS):
        now = step_of_the_clock(dice, now)
        one_step(twins, dice, now, tuple(changed(dice, rule) for rule in rules), ids)
