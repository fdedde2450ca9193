"""End open connections whose session ends: logout, expiry, a changed password, a deactivated user.

One database query every few seconds checks all open connections of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat.infra.database_threads import run_in_db_thread
from chat.infra.tasks import create_background_task
from chat.models import User

CHECK_INTERVAL = 5.0
"""Seconds between two checks."""


class SessionWatcher:
    """The sessions of the open connections on one event loop: `process.loop_part(SessionWatcher)`."""

    def __init__(self) -> None:
        self._callbacks: dict[str, set[Callable[[], None]]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, session_key: str | None, on_end: Callable[[], None]) -> Iterator[None]:
        """Call `on_end` on the event loop at most ten seconds after the session has ended.

        A connection without a session (None) is not watched.
        """
        if session_key is None:
            yield
            return
        self._callbacks.setdefault(session_key, set()).add(on_end)
        if self._task is None:
            self._task = create_background_task(self._check_regularly())
        try:
            yield
        finally:
            callbacks = self._callbacks.get(session_key, set())
            callbacks.discard(on_end)
            if not callbacks:
                self._callbacks.pop(session_key, None)

    async def close(self) -> None:
        """Stop watching. Connections that are still open are not told."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _check_regularly(self) -> None:
        try:
            while self._callbacks:
                await asyncio.sleep(CHECK_INTERVAL)
                with suppress(DatabaseError):  # checked again at the next interval
                    await self._check()
        finally:
            self._task = None

    async def _check(self) -> None:
        for session_key in await run_in_db_thread(ended_sessions, list(self._callbacks)):
            for on_end in list(self._callbacks.get(session_key, ())):
                on_end()


def ended_sessions(session_keys: Collection[str]) -> set[str]:
    """Which of these sessions no longer belong to an active user. Two queries."""
    rows = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    data = {row.session_key: row.get_decoded() for row in rows}
    user_ids = {values[SESSION_KEY] for values in data.values() if SESSION_KEY in values}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=user_ids, is_active=True)}
    valid = {key for key, values in data.items() if _is_valid(users.get(values.get(SESSION_KEY, "")), values)}
    return set(session_keys) - valid


def _is_valid(user: User | None, session_data: dict[str, Any]) -> bool:
    """The check of `django.contrib.auth.get_user`, which also accepts `SECRET_KEY_FALLBACKS`."""
    if user is None:
        return False
    session_hash = session_data.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, known) for known in hashes)
