"""Who is watching what: in this process, and as far as it matters for leaving, in others."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django.conf import settings

from chat.accounts.session_watcher import SessionWatcher
from chat.answers import runner
from chat.eventlog import event_log
from chat.infra import notifications
from chat.infra.notifications import Notification
from chat.infra.process import process
from chat.infra.tasks import create_background_task

MOST_PER_PERSON = 32
FIRST_VIEWER_GRACE = 10.0
ANNOUNCE = 5.0
ANNOUNCED_FOR = 12.0


class Viewer:
    """One open stream. `closed` asks it to end at its next event, which `close` brings about."""

    def __init__(self, message_id: uuid.UUID) -> None:
        self.message_id = message_id
        self.closed = False

    def close(self) -> None:
        self.closed = True
        event_log().nudge(self.message_id)


_BY_PERSON: dict[int, OrderedDict[Viewer, None]] = {}
_BY_MESSAGE: dict[uuid.UUID, set[Viewer]] = {}
_FAR: set[uuid.UUID] = set()
"""Answers of other processes that are watched here."""
_ELSEWHERE: dict[uuid.UUID, dict[str, float]] = {}
"""Answers of this process that are watched in others: by process, until when that holds."""
_announcer: asyncio.Task[None] | None = None


def count() -> int:
    return sum(len(people) for people in _BY_PERSON.values())


@asynccontextmanager
async def watching(
    user_id: int,
    message_id: uuid.UUID,
    *,
    grace: float | None = None,
    far: bool = False,
    session_key: str | None = None,
) -> AsyncGenerator[Viewer, None]:
    """Counts one viewer; when the last one leaves, the answer ends `grace` seconds later (None: never).

    `far` says that another process owns the answer. The viewer is closed when its session
    ends, or when its person opens too many others.
    """
    viewer = Viewer(message_id)
    mine = _BY_PERSON.setdefault(user_id, OrderedDict())
    mine[viewer] = None
    while len(mine) > MOST_PER_PERSON:
        mine.popitem(last=False)[0].close()
    _BY_MESSAGE.setdefault(message_id, set()).add(viewer)
    if far:
        _announce(message_id)
    try:
        with process.loop_part(SessionWatcher).watch(session_key, viewer.close):
            yield viewer
    finally:
        mine.pop(viewer, None)
        if not mine and _BY_PERSON.get(user_id) is mine:
            del _BY_PERSON[user_id]
        watchers = _BY_MESSAGE[message_id]
        watchers.discard(viewer)
        if not watchers:
            del _BY_MESSAGE[message_id]
            _last_left(message_id, grace)


def started(message_id: uuid.UUID) -> None:
    """A page's answer began: under a leaving policy its first viewer must come soon."""
    if settings.CHAT_ON_DISCONNECT is not None:
        _left_alone(message_id, max(settings.CHAT_ON_DISCONNECT, FIRST_VIEWER_GRACE))


def awaited(message_id: uuid.UUID) -> None:
    """An answer began for one caller, who is not listening yet: without anybody it ends soon."""
    _left_alone(message_id, FIRST_VIEWER_GRACE)


def _last_left(message_id: uuid.UUID, grace: float | None) -> None:
    if message_id in _FAR:
        _FAR.discard(message_id)
        notifications.publish_last_reader_left(runner.current().process_id, message_id, grace)
    else:
        _left_alone(message_id, grace)


def _left_alone(message_id: uuid.UUID, grace: float | None) -> None:
    """Ends the answer after `grace` seconds without a viewer; None is never."""
    if grace is None or not runner.current().owns(message_id):
        return
    owner = runner.current()
    loop = asyncio.get_running_loop()

    def end_if_alone() -> None:
        if message_id in _BY_MESSAGE:
            return
        if until := _watched_elsewhere_until(message_id):
            loop.call_later(until - time.monotonic() + grace, end_if_alone)
        else:
            owner.stop(message_id)

    loop.call_later(grace, end_if_alone)


def _watched_elsewhere_until(message_id: uuid.UUID) -> float:
    """Monotonic seconds; 0 if nobody does."""
    return max((until for until in _ELSEWHERE.get(message_id, {}).values() if until > time.monotonic()), default=0.0)


def _announce(message_id: uuid.UUID) -> None:
    global _announcer
    if message_id not in _FAR:
        _FAR.add(message_id)
        notifications.publish_readers(runner.current().process_id, [message_id])
    if _announcer is None or _announcer.done():
        _announcer = create_background_task(_announce_while_watched())


async def _announce_while_watched() -> None:
    while _FAR:
        await asyncio.sleep(ANNOUNCE)
        notifications.publish_readers(runner.current().process_id, list(_FAR))


def _hear(notice: Notification) -> None:
    """What other processes say about viewers of answers that are ours."""
    if notice["type"] == "watching":
        for message_id in map(uuid.UUID, notice["message_ids"]):
            if runner.current().owns(message_id):
                _ELSEWHERE.setdefault(message_id, {})[notice["process_id"]] = time.monotonic() + ANNOUNCED_FOR
    elif notice["type"] == "left":
        message_id = uuid.UUID(notice["message_id"])
        _ELSEWHERE.get(message_id, {}).pop(notice["process_id"], None)
        if message_id not in _BY_MESSAGE:
            _left_alone(message_id, notice["grace"])
    for message_id in [known for known in _ELSEWHERE if not runner.current().owns(known)]:
        del _ELSEWHERE[message_id]


runner.LISTENERS.append(_hear)
