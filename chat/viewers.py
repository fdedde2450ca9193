"""Who is watching what, in this process."""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from django.conf import settings

from chat import runner

MOST_PER_PERSON = 32
FIRST_VIEWER_GRACE = 10.0


class Viewer:
    """One open stream. `closed` asks it to end at its next event."""

    def __init__(self) -> None:
        self.closed = False


_BY_PERSON: dict[int, OrderedDict[Viewer, None]] = {}
_BY_MESSAGE: dict[uuid.UUID, set[Viewer]] = {}


def count() -> int:
    return sum(len(people) for people in _BY_PERSON.values())


@asynccontextmanager
async def watching(user_id: int, message_id: uuid.UUID, *, grace: float | None = None) -> AsyncGenerator[Viewer, None]:
    """Counts one viewer; when the last one leaves, the answer ends `grace` seconds later (None: never)."""
    viewer = Viewer()
    mine = _BY_PERSON.setdefault(user_id, OrderedDict())
    mine[viewer] = None
    while len(mine) > MOST_PER_PERSON:
        oldest, _value = mine.popitem(last=False)
        oldest.closed = True
    _BY_MESSAGE.setdefault(message_id, set()).add(viewer)
    try:
        yield viewer
    finally:
        mine.pop(viewer, None)
        if not mine:
            _BY_PERSON.pop(user_id, None)
        watchers = _BY_MESSAGE[message_id]
        watchers.discard(viewer)
        if not watchers:
            del _BY_MESSAGE[message_id]
            _left_alone(message_id, grace)


def started(message_id: uuid.UUID) -> None:
    """A page's answer began: under a leaving policy its first viewer must come soon."""
    if settings.CHAT_ON_DISCONNECT is not None:
        _left_alone(message_id, max(settings.CHAT_ON_DISCONNECT, FIRST_VIEWER_GRACE))


def _left_alone(message_id: uuid.UUID, grace: float | None) -> None:
    """Ends the answer after `grace` seconds without a viewer; None is never."""
    if grace is None:
        return
    owner = runner.current()

    def end_if_alone() -> None:
        if message_id not in _BY_MESSAGE:
            owner.stop(message_id)

    asyncio.get_running_loop().call_later(grace, end_if_alone)
