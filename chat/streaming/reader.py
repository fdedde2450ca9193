"""The events of an answer, wherever they are: in its log, or in the database."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from django.db import DatabaseError, models

from chat.answers import recovery, runner
from chat.eventlog import LogMissing, event_log
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage, is_last
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import Message, Status
from chat.streaming import presenter

POLL = 1.0


_ALIVE = PreparedQuery(
    lambda: Message.objects.filter(
        pk=Parameter("pk", models.UUIDField()), conversation__deleted_at=None
    ).select_related("conversation")
)


def reload(message_id: uuid.UUID) -> Message | None:
    """The message as it is by now, with its conversation; None once either is deleted."""
    return _ALIVE.one(pk=message_id)


def stored_events(message: Message) -> list[LogEvent]:
    """An ended message as the log it once had."""
    events: list[LogEvent] = [Started(message_id=str(message.pk), model=message.model)]
    if message.reasoning:
        events.append(Reasoning(text=message.reasoning))
    if message.content:
        events.append(Delta(text=message.content))
    if message.status in (Status.FAILED, Status.INTERRUPTED):
        sentence, wait = presenter.notice_of(message), presenter.retry_after(message) or None
        events.append(Failed(status=message.status, code=message.error_code, message=sentence, retry_after=wait))
    elif not message.is_running:
        usage = Usage(prompt_tokens=message.prompt_tokens or 0, completion_tokens=message.completion_tokens or 0)
        events.append(Finished(status=message.status, usage=usage))
    return events


class _Telling:
    """One answer told by several sources, each from its start; nothing is passed on twice."""

    def __init__(self) -> None:
        self._started = False
        self._told: dict[type, int] = {Delta: 0, Reasoning: 0}

    def source(self) -> Callable[[Iterable[LogEvent]], list[LogEvent]]:
        """What is new among the events of one source, to be called with them in order."""
        said: dict[type, int] = {Delta: 0, Reasoning: 0}

        def fresh(events: Iterable[LogEvent]) -> list[LogEvent]:
            result: list[LogEvent] = []
            for event in events:
                if isinstance(event, Delta | Reasoning):
                    kind = type(event)
                    said[kind] += len(event.text)
                    new = said[kind] - self._told[kind]
                    if new <= 0:
                        continue
                    self._told[kind] = said[kind]
                    result.append(event if new >= len(event.text) else kind(text=event.text[-new:]))
                elif not isinstance(event, Started) or not self._started:
                    self._started = True
                    result.append(event)
            return result

        return fresh


async def events_of(message: Message, every: float = 0.0) -> AsyncGenerator[list[LogEvent], None]:
    """The events of a message wherever they are: in the log (see its `tail`), or growing in the database.

    An empty list means silence. Ends after the last event, or when the message is gone.
    Where another process is silent, or its log cannot be read, the database is asked.
    """
    log = event_log()
    telling = _Telling()
    while True:
        fresh = telling.source()
        try:
            async with aclosing(log.tail(message.pk, every)) as tail:
                async for events in tail:
                    if not events and not log.is_local(message.pk):
                        break
                    yield fresh(events)
                    if events and is_last(events[-1]):
                        return
        except LogMissing:
            pass
        stored = await _asked(message.pk)
        if stored is None:
            return
        yield telling.source()(stored)
        if stored and is_last(stored[-1]):
            return
        await asyncio.sleep(POLL)


async def _asked(message_id: uuid.UUID) -> list[LogEvent] | None:
    """The message as the database knows it, closed first if its process is gone; None if it is deleted."""
    roll = runner.current().roll

    def ask() -> list[LogEvent] | None:
        recovery.recover(Message.objects.filter(pk=message_id), roll)
        message = reload(message_id)
        return stored_events(message) if message else None

    try:
        return await run_in_db_thread(ask)
    except DatabaseError:
        return []
