"""The straight line holds on PostgreSQL and Redis as it does on SQLite and memory."""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes import FakeUpstream, text
from tests.services import RedisServer
from tests.site import Site


def test_a_message_is_answered_and_booked_on_postgresql_and_redis(
    make_site: Callable[..., Site], postgres: str, redis_server: RedisServer, upstream: FakeUpstream
) -> None:
    site = make_site(DATABASE_URL=postgres, REDIS_URL=redis_server.url)
    site.start()
    upstream.enqueue(text("Hel", "lo \x00 😀", usage=(12, 3)))
    chat, _answer, said = site.person("alice").ask("Say \x00 hello")
    assert said == "Hello \ufffd 😀"
    assert site.shell("from chat.models import UsageRecord as U; print(U.objects.get().cost)") == "4"
    assert "�" in site.person("alice").http.get(f"/c/{chat}/").text
