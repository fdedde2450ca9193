"""The session watcher tells connections whose session has ended, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from chat.accounts import session_watcher
from chat.accounts.session_watcher import SessionWatcher, ended_sessions
from chat.infra.database_threads import run_in_db_thread
from chat.models import User
from tests.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watcher, "CHECK_INTERVAL", 0.02)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="alice-password")


@pytest.fixture
def session_key(client: Client, alice: User) -> str:
    client.force_login(alice)
    key = client.session.session_key
    assert key is not None
    return key


def run(scenario: Callable[[SessionWatcher], Awaitable[None]]) -> None:
    async def main() -> None:
        watcher = SessionWatcher()
        try:
            await scenario(watcher)
        finally:
            await watcher.close()
            await run_in_db_thread(connections.close_all)

    asyncio.run(main())


@pytest.fixture
def calls() -> list[str]:
    return []


def test_a_connection_is_told_when_its_session_ends(alice: User, session_key: str, calls: list[str]) -> None:
    async def scenario(watcher: SessionWatcher) -> None:
        with watcher.watch(session_key, lambda: calls.append("ended")):
            await run_in_db_thread(alice.end_sessions)
            await await_until(lambda: calls)

    run(scenario)
    assert set(calls) == {"ended"}


def test_another_session_is_not_told(session_key: str, calls: list[str]) -> None:
    async def scenario(watcher: SessionWatcher) -> None:
        with (
            watcher.watch(session_key, lambda: calls.append("valid")),
            watcher.watch("unknown", lambda: calls.append("unknown")),
        ):
            await await_until(lambda: calls)

    run(scenario)
    assert set(calls) == {"unknown"}


def test_a_connection_that_has_closed_is_not_told(calls: list[str]) -> None:
    async def scenario(watcher: SessionWatcher) -> None:
        with watcher.watch("unknown", lambda: calls.append("open")):
            with watcher.watch("unknown", lambda: calls.append("closed")):
                pass
            await await_until(lambda: calls)

    run(scenario)
    assert set(calls) == {"open"}


def test_a_closed_watcher_tells_nobody(calls: list[str]) -> None:
    async def scenario(watcher: SessionWatcher) -> None:
        with watcher.watch("unknown", lambda: calls.append("ended")):
            await watcher.close()

    run(scenario)
    assert calls == []


def test_a_session_of_an_inactive_user_has_ended(alice: User, session_key: str) -> None:
    assert ended_sessions([session_key, "unknown"]) == {"unknown"}
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert ended_sessions([session_key]) == {session_key}


def test_a_session_stays_valid_after_the_secret_key_has_changed(session_key: str, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-secret-key-" + "x" * 40
    assert ended_sessions([session_key]) == set()
