"""What processes write to Redis for each other must not change while their code does; see `tests/contract.py`."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import require_service
from tests.contract import lost, recorded
from tests.contract_site import LIMITS, ObservedRedis
from tests.fakes import FakeProvider
from tests.services import RedisServer
from tests.site import Site

pytestmark = pytest.mark.timeout(300)

RECORD = "limits:1:rl:user:1"
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def make_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], RedisServer]]:
    servers: list[RedisServer] = []

    def make() -> RedisServer:
        if not RedisServer.is_there():
            require_service("redis-server is not installed")
        servers.append(RedisServer(tmp_path_factory.mktemp("redis")))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def seen(make_redis: Callable[[], RedisServer], make_module_site: Callable[..., Site]) -> Iterator[ObservedRedis]:
    server = make_redis()
    with FakeProvider() as upstream, server.client() as client:
        site = make_module_site(OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test", REDIS_URL=server.url)
        yield ObservedRedis(site, upstream, client)
        site.stop()


def test_keys_keep_their_names(seen: ObservedRedis) -> None:
    assert set(recorded("redis_keys")) <= set(seen.keys())


def test_every_key_expires(seen: ObservedRedis) -> None:
    assert [key for key in seen.client.keys("*") if seen.client.ttl(key) <= 0] == []


def test_channels_and_groups_keep_their_names(seen: ObservedRedis) -> None:
    assert set(recorded("channels")) <= set(seen.channels)


@pytest.mark.parametrize("record", sorted(recorded("limiter_records")))
def test_a_record_of_the_limiter_keeps_its_fields_and_their_form(seen: ObservedRedis, record: str) -> None:
    assert seen.record_patterns()[record] == recorded("limiter_records")[record]


# What processes tell each other


@pytest.mark.parametrize("kind", ["Started", "Delta", "Reasoning", "Finished", "Failed"])
def test_an_event_is_written_under_its_name_and_keeps_its_fields(seen: ObservedRedis, kind: str) -> None:
    assert seen.event_types().get(kind) == recorded("events")[kind]


def test_an_entry_of_the_event_log_says_how_many_events_came_before_it(seen: ObservedRedis) -> None:
    place = 0
    for entry_id, fields in seen.raw_entries():
        start, events = json.loads(fields[b"e"])
        assert start == place
        place += len(events)
        assert entry_id == f"{place}-0".encode()


@pytest.mark.parametrize("kind", ["stop", "watching", "left", "changed"])
def test_a_notification_is_sent_under_its_name_and_keeps_its_fields(seen: ObservedRedis, kind: str) -> None:
    kept = {name: value for name, value in recorded("notifications").items() if name.endswith(f" {kind}")}
    assert kept
    assert lost(kept, seen.notifications) == []


# Records that another process wrote


def lease(now: int, *, tokens: int, cost: int, marks: str) -> str:
    return f"{now + 40_000} {now} {tokens} {cost} 0 0 0 0|{marks}"


def record_of(now: int) -> dict[str, str]:
    """A record as it is written today: half of each limit is used, and one answer runs."""
    moment = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
    day = now - now % DAY_MS
    month = day - (moment.day - 1) * DAY_MS
    slot = now // 3000
    marks = f"ct:tokens_per_day={day} ct:tokens_per_month={month} cc:cost_per_day={day} wt:tokens_per_minute={slot}"
    return {
        "br:requests_per_minute": f"60000 {30 * 60_000} {now}",
        "cr:requests_per_day": f"{day} 500",
        "wt:tokens_per_minute": f"3000 {slot}:250000",
        "ct:tokens_per_day": f"{day} 1000000",
        "ct:tokens_per_month": f"{month} 4500000",
        "cc:cost_per_day": f"{day} 2500000",
        "cc:cost_per_month": f"{month} 25000000",
        f"l:{uuid.UUID(int=7)}": lease(now, tokens=1200, cost=34, marks=marks),
        "x": f"{now - 1000},{now},3,requests_per_day=5000+tokens_per_day=-1",
        "ttl": str(40 * DAY_MS),
    }


class Written:
    """What commands say of a record that was not written by them."""

    def __init__(self, site: Site, server: RedisServer) -> None:
        self._site = site
        with server.client() as client:
            now = int(client.time()[0]) * 1000
            client.hset(RECORD, mapping=record_of(now))
            client.pexpire(RECORD, 40 * DAY_MS)
        self.standing = {row["limit_name"]: row for row in self._rows("show")}
        self.refusals = self._rows("explain")

    def _rows(self, verb: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self._site.manage("limits", verb, "alice", "--format", "json").stdout)
        return rows


@pytest.fixture(scope="module")
def written(make_redis: Callable[[], RedisServer], make_module_site: Callable[..., Site]) -> Written:
    server = make_redis()
    site = make_module_site(REDIS_URL=server.url)
    site.shell(LIMITS)
    return Written(site, server)


@pytest.mark.parametrize(
    ("limit", "used", "held"),
    [
        ("requests_per_day", 500, 0),
        ("tokens_per_minute", 250_000, 1200),
        ("tokens_per_day", 1_000_000, 1200),
        ("tokens_per_month", 4_500_000, 1200),
        ("cost_per_day", 2_500_000, 34),
        ("cost_per_month", 25_000_000, 0),
        ("concurrent_answers", 1, 0),
    ],
)
def test_what_another_process_counted_is_read(written: Written, limit: str, used: int, held: int) -> None:
    assert (written.standing[limit]["used"], written.standing[limit]["held"]) == (used, held)


def test_the_bucket_that_another_process_filled_is_read(written: Written) -> None:
    assert 0 < written.standing["requests_per_minute"]["used"] <= 30


def test_the_refusals_that_another_process_recorded_are_read(written: Written) -> None:
    waits = {row["limit_name"]: (row["times"], row["wait"]) for row in written.refusals}
    assert waits == {"requests_per_day": (3, 5), "tokens_per_day": (3, None)}
