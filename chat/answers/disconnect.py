"""Readers of answers, here and in other processes, and the end of answers that nobody reads.

A process that serves a reader of another process's answer announces it every `ANNOUNCE_INTERVAL` seconds, so that
the owner knows that the answer is read.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from django.conf import settings

from chat.accounts.session_watcher import SessionWatcher
from chat.eventlog import EventLog
from chat.infra import notifications
from chat.infra.notifications import Notification
from chat.infra.process import process
from chat.infra.tasks import create_background_task
from chat.infra.user_connections import UserConnections

MAX_READERS_PER_USER = 32
FIRST_READER_SECONDS = 10.0
"""A new answer that ends without readers waits this long for its first one."""
ANNOUNCE_INTERVAL = 5.0
ANNOUNCEMENT_VALID = 12.0


RELOAD_SECONDS = 2.0
"""A page that is reloaded, or whose connection was cut, is back within this time."""


def page_grace() -> float | None:
    """Seconds that a page's answer goes on without a reader, by `CHAT_ON_DISCONNECT`; None until its end."""
    grace: float | None = settings.CHAT_ON_DISCONNECT
    return None if grace is None else max(grace, RELOAD_SECONDS)


class AnswerOwner(Protocol):
    """The runner of this process."""

    process_id: uuid.UUID

    def owns(self, message_id: uuid.UUID) -> bool: ...

    def stop(self, message_id: uuid.UUID) -> bool: ...


class Reader:
    """One open stream. `closed` asks it to end; `close` wakes it so that it looks."""

    def __init__(self, message_id: uuid.UUID, log: EventLog) -> None:
        self.message_id = message_id
        self.closed = False
        self._log = log

    def close(self) -> None:
        self.closed = True
        self._log.wake(self.message_id)

    close_excess = close


class Readers:
    """The readers that this process serves, and the one timer that ends an answer without readers."""

    def __init__(self, owner: AnswerOwner, log: EventLog) -> None:
        self._owner = owner
        self._log = log
        self._by_user: UserConnections[Reader] = UserConnections(MAX_READERS_PER_USER)
        self._by_message: dict[uuid.UUID, set[Reader]] = {}
        self._remote_answers: set[uuid.UUID] = set()
        """Answers of other processes that are read here."""
        self._remote_readers: dict[uuid.UUID, dict[str, float]] = {}
        """Own answers that are read elsewhere: by process, until when its announcement is valid."""
        self._timers: dict[uuid.UUID, asyncio.TimerHandle] = {}
        self._announcing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._by_user)

    @asynccontextmanager
    async def read(
        self, user_id: int, message_id: uuid.UUID, *, grace: float | None, remote: bool, session_key: str | None
    ) -> AsyncGenerator[Reader, None]:
        """Count one reader. When the last one leaves, the answer ends `grace` seconds later (None: never).

        `remote` says that another process owns the answer. The reader is closed when its session ends, or when its
        user opens too many others.
        """
        reader = Reader(message_id, self._log)
        sessions = process.loop_part(SessionWatcher)
        with self._by_user.open(user_id, reader), sessions.watch(session_key, reader.close):
            self._by_message.setdefault(message_id, set()).add(reader)
            self._cancel_timer(message_id)
            if remote:
                self._announce(message_id)
            try:
                yield reader
            finally:
                self._leave(reader, grace)

    def expect(self, message_id: uuid.UUID, grace: float | None) -> None:
        """A new answer ends if its first reader does not come soon, unless it goes on without readers."""
        if grace is not None:
            self._end_later(message_id, max(grace, FIRST_READER_SECONDS))

    def handle(self, notification: Notification) -> None:
        """What other processes say about readers of this process's answers."""
        if notification["type"] == notifications.READING:
            for message_id in map(uuid.UUID, notification["message_ids"]):
                if self._owner.owns(message_id):
                    valid_until = time.monotonic() + ANNOUNCEMENT_VALID
                    self._remote_readers.setdefault(message_id, {})[notification["process_id"]] = valid_until
        elif notification["type"] == notifications.LEFT:
            message_id = uuid.UUID(notification["message_id"])
            self._remote_readers.get(message_id, {}).pop(notification["process_id"], None)
            if notification["grace"] is not None:
                self._end_later(message_id, notification["grace"])

    def forget(self, message_id: uuid.UUID) -> None:
        """The answer has ended."""
        self._cancel_timer(message_id)
        self._remote_readers.pop(message_id, None)

    async def close(self) -> None:
        for message_id in list(self._timers):
            self._cancel_timer(message_id)
        if self._announcing is not None:
            self._announcing.cancel()

    def _leave(self, reader: Reader, grace: float | None) -> None:
        message_id = reader.message_id
        readers = self._by_message[message_id]
        readers.discard(reader)
        if readers:
            return
        del self._by_message[message_id]
        if message_id in self._remote_answers:
            self._remote_answers.discard(message_id)
            notifications.publish_last_reader_left(self._owner.process_id, message_id, grace)
        elif grace is not None:
            self._end_later(message_id, grace)

    def _end_later(self, message_id: uuid.UUID, seconds: float) -> None:
        """End this process's answer after so many seconds without a reader."""
        if message_id in self._by_message or not self._owner.owns(message_id):
            return
        self._cancel_timer(message_id)
        loop = asyncio.get_running_loop()
        self._timers[message_id] = loop.call_later(seconds, self._end_unless_read, message_id, seconds)

    def _end_unless_read(self, message_id: uuid.UUID, grace: float) -> None:
        """As the timer's callback: stop the answer, or wait on while another process announces readers."""
        del self._timers[message_id]
        left = max(self._remote_readers.get(message_id, {}).values(), default=0.0) - time.monotonic()
        if left > 0:
            loop = asyncio.get_running_loop()
            self._timers[message_id] = loop.call_later(left + grace, self._end_unless_read, message_id, grace)
        else:
            self._owner.stop(message_id)

    def _cancel_timer(self, message_id: uuid.UUID) -> None:
        if timer := self._timers.pop(message_id, None):
            timer.cancel()

    def _announce(self, message_id: uuid.UUID) -> None:
        if message_id not in self._remote_answers:
            self._remote_answers.add(message_id)
            notifications.publish_readers(self._owner.process_id, [message_id])
        if self._announcing is None or self._announcing.done():
            self._announcing = create_background_task(self._announce_while_read())

    async def _announce_while_read(self) -> None:
        while self._remote_answers:
            await asyncio.sleep(ANNOUNCE_INTERVAL)
            notifications.publish_readers(self._owner.process_id, list(self._remote_answers))
