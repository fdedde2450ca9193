"""The one reader of answers: from the event log while it holds them, else from the database.

Every stream, the JSON API's whole answers and `manage.py ask` read through here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from math import ceil

from django.db import DatabaseError, models
from django.utils import timezone

from chat import errors
from chat.answers import current_runner, recovery
from chat.eventlog import LogMissing, event_log
from chat.events import LAST_EVENTS, Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage
from chat.infra.database_threads import raise_if_cancelled, run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.models import Message, Status

POLL_INTERVAL = 1.0
"""Seconds between two queries, where the log cannot be read."""

Events = AsyncGenerator[list[LogEvent], None]

_FIND_MESSAGE = PreparedQuery(
    lambda: Message.objects.filter(
        pk=Parameter("pk", models.UUIDField()), conversation__deleted_at=None
    ).select_related("conversation")
)


async def follow(answer: Message, *, grace: float | None, session_key: str | None = None, every: float = 0.0) -> Events:
    """The events of an answer, counted as one of its readers while they are read.

    When the last reader leaves, the answer ends `grace` seconds later (None: never). Ends early where the user opens
    too many streams or the session ends. `every` and empty lists are as in `read_events`.
    """
    readers, log = current_runner().readers, event_log()
    remote = answer.is_running and not log.is_local(answer.pk)
    async with (
        readers.read(
            answer.conversation.user_id, answer.pk, grace=grace, remote=remote, session_key=session_key
        ) as reader,
        aclosing(read_events(answer, every)) as batches,
    ):
        raise_if_cancelled()
        async for events in batches:
            if reader.closed:
                return
            yield events
            raise_if_cancelled()


async def read_events(answer: Message, every: float = 0.0) -> Events:
    """The events of an answer from the first to the last, as they come.

    At most one list in `every` seconds after the first text; an empty list means silence. Ends without a last event
    where the answer is deleted. Where another process is silent, or its log cannot be read, the database is queried:
    it may know the end.
    """
    log, merger = event_log(), _Merger()
    while True:
        new = merger.source()
        try:
            async with aclosing(log.read(answer.pk, every)) as batches:
                async for events in batches:
                    if not events and not log.is_local(answer.pk):
                        break
                    yield new(events)
                    if events and isinstance(events[-1], LAST_EVENTS):
                        return
        except LogMissing:
            pass
        stored = await _query_events(answer.pk)
        if stored is None:
            return
        yield merger.source()(stored)
        if stored and isinstance(stored[-1], LAST_EVENTS):
            return
        await asyncio.sleep(POLL_INTERVAL)


async def read_all(events: Events) -> list[LogEvent]:
    """Every event, once the last one has come."""
    async with aclosing(events):
        return [event async for batch in events for event in batch]


async def read_until_text(events: Events) -> list[LogEvent]:
    """The first events, up to the first text, or until the log has been silent for a while."""
    first: list[LogEvent] = []
    async for batch in events:
        first += batch
        if not batch or not isinstance(batch[-1], Started):
            break
    return first


def load_message(message_id: uuid.UUID) -> Message | None:
    """The message as it is now, with its conversation; None where either is deleted."""
    return _FIND_MESSAGE.one(pk=message_id)


def stored_events(message: Message) -> list[LogEvent]:
    """The event log that an ended message once had; of a running one, what its last checkpoint holds."""
    events: list[LogEvent] = [Started(message_id=str(message.pk), model=message.model)]
    if message.reasoning:
        events.append(Reasoning(text=message.reasoning))
    if message.content:
        events.append(Delta(text=message.content))
    if message.status in (Status.FAILED, Status.INTERRUPTED):
        error = errors.error_classes().get(message.error_code, errors.InternalError)
        events.append(
            Failed(
                status=message.status,
                code=message.error_code,
                message=str(error.default_message),
                retry_after=retry_after(message) or None,
            )
        )
    elif not message.is_running:
        usage = Usage(prompt_tokens=message.prompt_tokens or 0, completion_tokens=message.completion_tokens or 0)
        events.append(Finished(status=message.status, usage=usage))
    return events


def retry_after(message: Message) -> int:
    """Seconds until it makes sense to ask again; 0 for at once."""
    return max(ceil((message.retry_at - timezone.now()).total_seconds()), 0) if message.retry_at else 0


class _Merger:
    """Several sources of one answer, each from its start, as one sequence of events without repetitions."""

    def __init__(self) -> None:
        self._has_started = False
        self._yielded: dict[type, int] = {Delta: 0, Reasoning: 0}

    def source(self) -> Callable[[Iterable[LogEvent]], list[LogEvent]]:
        """A function that returns what is new among the events of one source, to be called with them in order."""
        seen: dict[type, int] = {Delta: 0, Reasoning: 0}

        def new(events: Iterable[LogEvent]) -> list[LogEvent]:
            result: list[LogEvent] = []
            for event in events:
                if isinstance(event, Delta | Reasoning):
                    kind = type(event)
                    seen[kind] += len(event.text)
                    added = seen[kind] - self._yielded[kind]
                    if added <= 0:
                        continue
                    self._yielded[kind] = seen[kind]
                    result.append(event if added >= len(event.text) else kind(text=event.text[-added:]))
                elif not isinstance(event, Started) or not self._has_started:
                    self._has_started = True
                    result.append(event)
            return result

        return new


async def _query_events(message_id: uuid.UUID) -> list[LogEvent] | None:
    """The events that the database knows; an answer whose process died is ended first. None where it is deleted."""
    liveness = current_runner().liveness

    def query() -> list[LogEvent] | None:
        recovery.recover(Message.objects.filter(pk=message_id), liveness)
        message = load_message(message_id)
        return stored_events(message) if message else None

    try:
        return await run_in_db_thread(query)
    except DatabaseError:
        return []
