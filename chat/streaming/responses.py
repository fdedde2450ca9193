"""Streaming responses: what every stream has in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chat import errors
from chat.answers import readers
from chat.answers.readers import Viewer
from chat.eventlog import event_log
from chat.events import Failed, LogEvent, is_last
from chat.infra.database_threads import raise_if_cancelled
from chat.models import Message
from chat.streaming.encoders import Encoder
from chat.streaming.reader import events_of

HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}


class BrokenOff(Exception):
    """Raised inside a plain-text body: the only way to say there that the answer is not whole."""


def streaming(body: AsyncIterator[bytes], content_type: str, headers: dict[str, str] | None = None) -> HttpResponseBase:
    response = StreamingHttpResponse(body, content_type=content_type)
    for name, value in {**HEADERS, **(headers or {})}.items():
        response.headers[name] = value
    return response


def reading(message: Message, grace: float | None, request: HttpRequest | None) -> AbstractAsyncContextManager[Viewer]:
    return readers.watching(
        message.conversation.user_id,
        message.pk,
        grace=grace,
        far=message.is_running and not event_log().is_local(message.pk),
        session_key=request.session.session_key if request else None,
    )


async def watched(
    message: Message, grace: float | None, request: HttpRequest | None = None
) -> AsyncGenerator[list[LogEvent], None]:
    """The events of an answer, with their reader counted as one of its viewers.

    Ends early where the reader has too many streams open or, with a request, where its session ends.
    """
    async with (
        reading(message, grace, request) as viewer,
        aclosing(events_of(message)) as source,
    ):
        raise_if_cancelled()
        async for events in source:
            if viewer.closed:
                return
            yield events
            raise_if_cancelled()


async def told(
    held: list[LogEvent], source: AsyncGenerator[list[LogEvent], None], encoder: Encoder
) -> AsyncGenerator[bytes, None]:
    """The body for every protocol but html: what is held, then what comes.

    Whatever cuts the log short, the client can tell its end from that of a whole answer.
    Raises `BrokenOff` where only that tells of a failure.
    """
    last = held[-1] if held else None
    async with aclosing(source):
        if begun := encoder.open() + encoder.encode(held):
            yield begun
        async for events in source:
            if data := encoder.encode(events) if events else encoder.heartbeat:
                yield data
            last = events[-1] if events else last
    if last is None or not is_last(last):
        last = _gone()
        yield encoder.encode([last])
    if isinstance(last, Failed) and encoder.breaks_on_failure:
        raise BrokenOff


def _gone() -> Failed:
    """For a log without an end: the message was deleted, or its reader may not read on."""
    error = errors.Conflict()
    return Failed(status="interrupted", code=error.code, message=error.message)
