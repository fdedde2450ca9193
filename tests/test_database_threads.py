"""Requests share a few threads, each with its database connection; open streams have neither."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg

from chat.infra.request_thread_pool import MAX_THREADS
from tests.fakes import FakeProvider, Gate, gated
from tests.services import POSTGRES, name_of
from tests.site import Site, ids_in

SHARED = 1
"""The thread of streams and of answers at work."""


def ask(query: str, url: str) -> int:
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        row = connection.execute(f"{query} FROM pg_stat_activity WHERE datname = %s", [name_of(url)]).fetchone()
    assert row
    return int(row[0])


def test_open_streams_hold_no_connection(make_site: Callable[..., Site], postgres: str, upstream: FakeProvider) -> None:
    site = make_site(DATABASE_URL=postgres)
    site.start()
    alice = site.person("alice")
    gate = Gate()
    upstream.always(gated(gate))
    answer = ids_in(alice.send("go"))[1]
    gate.wait_until_reached()
    opened, leave = threading.Semaphore(0), threading.Event()

    def watch() -> None:
        with alice.watch(answer) as response:
            next(response.iter_raw())
            opened.release()
            leave.wait(30)

    watchers = [threading.Thread(target=watch) for _ in range(MAX_THREADS * 3)]
    for watcher in watchers:
        watcher.start()
    try:
        assert all(opened.acquire(timeout=30) for _ in watchers)
        assert ask("SELECT count(*)", postgres) <= MAX_THREADS + SHARED
        assert ask("SELECT count(*) FILTER (WHERE state <> 'idle')", postgres) == 0
    finally:
        leave.set()
        gate.open()
        for watcher in watchers:
            watcher.join()


def test_connections_that_the_database_ended_are_replaced_unseen(make_site: Callable[..., Site], postgres: str) -> None:
    site = make_site(DATABASE_URL=postgres)
    site.start()
    alice = site.person("alice")
    chat, _answer, _said = alice.ask("one")
    assert ask("SELECT count(pg_terminate_backend(pid))", postgres) > 0
    assert alice.http.get(f"/c/{chat}/").status_code == 200
    assert alice.ask("two", chat)[2].strip() == "two"
