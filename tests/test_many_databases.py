"""The straight line holds on PostgreSQL and Redis as it does on SQLite and memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conftest import require_service
from tests.fakes import FakeProvider, Gate, gated, text
from tests.services import Guarded, RedisServer
from tests.site import Person, Site, ids_in
from tests.waiting import wait_until


def uses_redis_again(site: Site, *people: Person) -> bool:
    """Whether every process that stopped using Redis for limits has started again."""
    for person in people:
        person.http.get("/usage/")
    return site.log.count("Redis answers again") == site.log.count("Redis does not answer")


def test_a_message_is_answered_and_booked_on_postgresql_and_redis(
    make_site: Callable[..., Site], postgres: str, redis_server: RedisServer, upstream: FakeProvider
) -> None:
    site = make_site(DATABASE_URL=postgres, REDIS_URL=redis_server.url)
    site.start()
    upstream.enqueue(text("Hel", "lo \x00 😀", usage=(12, 3)))
    chat, _answer, said = site.person("alice").ask("Say \x00 hello")
    assert said == "Hello \ufffd 😀"
    assert site.shell("from chat.models import UsageRecord as U; print(U.objects.get().cost)") == "4"
    assert "�" in site.person("alice").http.get(f"/c/{chat}/").text


def test_a_fail_over_behind_sentinels_loses_nothing(
    make_site: Callable[..., Site], tmp_path: Path, upstream: FakeProvider
) -> None:
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    guarded = Guarded(tmp_path)
    try:
        guarded.start()
        site = make_site(REDIS_URL=guarded.url)
        site.shell("from chat.models import Plan; Plan.objects.update(requests_per_minute=None, requests_per_day=4)")
        here, there = (site.person("alice", site.start("uvicorn")) for _ in range(2))
        gate = Gate()
        upstream.enqueue(gated(gate))
        answer = ids_in(here.send("go"))[1]
        gate.wait_until_reached()
        with ThreadPoolExecutor() as pool:
            viewers = [pool.submit(person.answer, answer, "sse") for person in (here, there)]
            guarded.fail_over()
            gate.open()
            texts = [viewer.result(60) for viewer in viewers]
        for seen in texts:
            assert "".join(re.findall("^data: (.*)$", seen, re.MULTILINE)) == "first last[DONE]"
        wait_until(lambda: uses_redis_again(site, here, there), 60)
        codes = [person.send("again").status_code for person in (here, there) * 4]
        assert (codes.count(200), codes.count(429)) == (3, 5), codes
        with guarded.servers[1].client() as client:
            assert client.keys("limits:*"), "the limits are counted elsewhere"
    finally:
        guarded.stop()
