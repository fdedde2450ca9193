"""The open pages of a user are notified of changes; those of other users are not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes import FakeProvider, Gate, gated
from tests.page_sockets import closing_code, open_page, wait_for_message
from tests.services import RedisServer
from tests.site import Person, Site, ids_in


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_new_messages_are_sent_to_other_pages_of_the_same_user_only(
    make_site: Callable[..., Site], upstream: FakeProvider, server: str
) -> None:
    site = make_site()
    site.start(server)
    alice, bob = site.person("alice"), site.person("bob")
    with open_page(alice) as hers, open_page(bob) as his:
        assert "Your conversations will be listed here." in wait_for_message(hers, "#conversations")
        wait_for_message(his, "#conversations")
        chat, answer, _said = alice.ask("my new secret")
        message = wait_for_message(hers, answer)
        assert "my new secret" in message
        assert f'data-draft="{chat}"' in message
        assert 'hx-target="#limit-status"' in message
        his_answer = bob.ask("a message of bob")[1]
        assert his_answer in str(his.recv(timeout=15)), "his page was sent something before"

        gate = Gate()
        upstream.enqueue(gated(gate))
        running = ids_in(alice.send("and now"))[1]
        gate.wait_until_reached()
        with open_page(alice) as late:
            assert running in wait_for_message(late, "#conversations"), (
                "a page that connects is sent the running answer"
            )
        gate.open()

        for path, origin in (
            ("/ws/", "http://127.0.0.1:1"),
            ("/ws/", f"https://127.0.0.1:{site.port}"),
            ("/ws/", "https://evil.example"),
            ("/ws/", None),
            ("/elsewhere/", site.url),
        ):
            with pytest.raises(InvalidStatus) as refused:
                open_page(alice, path, origin=origin)
            assert refused.value.response.status_code == 403
        with open_page(alice, additional_headers={}) as nobody:
            assert closing_code(nobody, 5) == 4401
        hers.send("a page says nothing")
        assert closing_code(hers, 5) == 4400

        with open_page(alice) as again:
            wait_for_message(again, "#conversations")
            alice.post("/accounts/logout/", htmx=False)
            assert closing_code(again, 10) == 4401
        site.shell("from chat.models import User; User.objects.filter(username='bob').update(is_active=False)")
        assert closing_code(his, 10) == 4401
    assert "Traceback" not in site.log


def test_the_list_is_sent_again_only_if_it_changed(site: Site) -> None:
    site.start()
    alice = site.person("alice")
    first = alice.ask("one")[0]
    with open_page(alice) as page:
        wait_for_message(page, "one")
        for chat, changes in ((first, False), ("", True), (first, True), (first, False)):
            answer = alice.ask("more", chat)[1]
            assert ("#conversations" in wait_for_message(page, answer)) == changes, (chat, changes)


@pytest.mark.parametrize(("protocol", "marked"), [("html", False), ("ui", True)])
def test_an_answer_is_marked_as_new_unless_a_page_showed_its_end(
    site: Site, upstream: FakeProvider, protocol: str, marked: bool
) -> None:
    site.start()
    alice, gate = site.person("alice"), Gate()
    upstream.enqueue(gated(gate))
    with open_page(alice) as tab:
        chat, answer = ids_in(alice.send("hello"))
        with alice.watch(answer, protocol) as stream:
            pieces = stream.iter_text()
            assert any("first" in piece for piece in pieces)
            gate.open()
            assert "last" in "".join(pieces)
        wait_for_message(tab, chat)
        alice.send("something else")
        dot = rf'href="/c/{chat}/">\s*<bdi>hello</bdi>\s*<span class="dot"'
        assert bool(re.search(dot, wait_for_message(tab, "something else"))) == marked


def test_pages_at_another_process_are_notified_also_after_redis_was_unavailable(
    make_site: Callable[..., Site], postgres: str, redis_server: RedisServer, upstream: FakeProvider
) -> None:
    site = make_site(DATABASE_URL=postgres, REDIS_URL=redis_server.url)
    here = Person(site.start(), "alice")
    there = Person(site.start(), "alice")
    site.people += [here, there]
    with open_page(there) as page:
        wait_for_message(page, "#conversations")
        _chat, answer, _said = here.ask("hello")
        wait_for_message(page, answer)
    redis_server.freeze()
    gate = Gate()
    upstream.enqueue(gated(gate, before=["on "], after=["and on"]))
    answer = ids_in(here.send("go on"))[1]
    gate.wait_until_reached()
    assert there.http.get("/").status_code == 200
    gate.open()
    assert here.answer(answer) == "on and on", "readers of the same process get all text"
    assert there.answer(answer) == "on and on", "other processes read it from the database"
    redis_server.thaw()
    redis_server.stop()
    redis_server.start()
    deadline = time.monotonic() + 30
    while True:
        with open_page(there) as page:
            try:
                wait_for_message(page, "#conversations")
                answer = here.ask("are you there?")[1]
                page.recv(timeout=3)
                break
            except (TimeoutError, ConnectionClosed):
                assert time.monotonic() < deadline
