"""Open connections whose session ends meanwhile: logged out, expired, password changed, person deactivated.

One look at the database every few seconds for all connections of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat.infra.database_threads import run_in_db_thread
from chat.infra.tasks import create_background_task
from chat.models import User

EVERY = 5.0

_OPEN: dict[str, set[Callable[[], None]]] = {}
_sweeper: asyncio.Task[None] | None = None


@contextmanager
def watched(session_key: str | None, end: Callable[[], None]) -> Iterator[None]:
    """Calls `end` on the event loop within ten seconds after the session ended; None is never."""
    if session_key is None:
        yield
        return
    _OPEN.setdefault(session_key, set()).add(end)
    _start_sweeping()
    try:
        yield
    finally:
        ends = _OPEN.get(session_key, set())
        ends.discard(end)
        if not ends:
            _OPEN.pop(session_key, None)


def _start_sweeping() -> None:
    global _sweeper
    loop = asyncio.get_running_loop()
    if _sweeper is None or _sweeper.done() or _sweeper.get_loop() is not loop:
        _sweeper = create_background_task(_sweep_while_open())


async def _sweep_while_open() -> None:
    while _OPEN:
        await asyncio.sleep(EVERY)
        try:
            over = await run_in_db_thread(ended, list(_OPEN))
        except DatabaseError:
            continue
        for key in over:
            for end in list(_OPEN.get(key, ())):
                end()


def ended(keys: Collection[str]) -> set[str]:
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    claims = {row.session_key: row.get_decoded() for row in rows}
    ids = {claim[SESSION_KEY] for claim in claims.values() if SESSION_KEY in claim}
    people = {str(user.pk): user for user in User.objects.filter(pk__in=ids, is_active=True)}
    good = {key for key, claim in claims.items() if _is_of(people.get(claim.get(SESSION_KEY, "")), claim)}
    return set(keys) - good


def _is_of(user: User | None, claim: dict[str, Any]) -> bool:
    """As `django.contrib.auth.get_user` does it, also with the secret keys of before."""
    if user is None:
        return False
    given = claim.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(given, known) for known in hashes)
