"""Whatever ends a session also ends its open streams and sockets, within seconds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import httpx2
import pytest

from tests.fakes import FakeProvider, Gate, gated
from tests.page_sockets import closing_code, open_page
from tests.site import Person, Site, ids_in

SECONDS = 10
BUSY = 10
STREAMS = ("html", "sse", "text")


def change_password(site: Site, _alice: Person) -> None:
    fields = {"old_password": "alice-password", "new_password1": "another-one-9", "new_password2": "another-one-9"}
    assert site.person("alice").post("/accounts/password/", fields, htmx=False).status_code == 302


def log_out_everywhere(site: Site, _alice: Person) -> None:
    assert site.person("alice").post("/settings/sessions/end/", htmx=False).status_code == 302


def deactivate(site: Site, _alice: Person) -> None:
    """This also stops the answer, so its text may end before the reader is sent away."""
    site.shell("from chat.models import User; User.objects.filter(username='alice').update(is_active=False)")


def log_out(_site: Site, alice: Person) -> None:
    assert alice.post("/accounts/logout/", htmx=False).status_code == 302


@pytest.mark.parametrize(
    "end", [change_password, log_out_everywhere, deactivate, log_out], ids=lambda end: end.__name__
)
def test_open_streams_and_sockets_end_with_their_session(
    make_site: Callable[..., Site], upstream: FakeProvider, end: Callable[[Site, Person], None]
) -> None:
    site = make_site()
    site.start()
    alice, bob = site.person("alice"), site.person("bob")
    gate = Gate()
    upstream.always(gated(gate))
    answer, his = ids_in(alice.send("go"))[1], ids_in(bob.send("go"))[1]
    gate.wait_until_reached()
    opened, over, bob_over = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def watch(person: Person, message: str, protocol: str, ended: Callable[[], object]) -> None:
        with person.watch(message, protocol) as response:
            pieces = response.iter_raw()
            next(pieces)
            opened.release()
            with contextlib.suppress(httpx2.RemoteProtocolError) if protocol == "text" else contextlib.nullcontext():
                for _ in pieces:
                    pass
                assert protocol != "text" or person is bob or end is deactivate, "a cut-off text looks whole"
        ended()

    watchers = [threading.Thread(target=watch, args=(alice, answer, protocol, over.release)) for protocol in STREAMS]
    watchers.append(threading.Thread(target=watch, args=(bob, his, "text", bob_over.set)))
    for watcher in watchers:
        watcher.start()
    assert all(opened.acquire(timeout=20) for _ in watchers)
    with open_page(alice) as socket:
        socket.recv(timeout=10)
        end(site, alice)
        assert all(over.acquire(timeout=SECONDS + BUSY) for _ in STREAMS)
        assert closing_code(socket, SECONDS + BUSY) == 4401
    assert not bob_over.is_set(), "another person's stream goes on"
    gate.open()
    for watcher in watchers:
        watcher.join()
