"""`GET /m/<uuid>/stream/`: one assistant message as it grows. Only reads."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import cast

from django.conf import settings
from django.db import DatabaseError, models
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import allowance, errors, viewers
from chat.compiled import CompiledQuery, Given
from chat.eventlog import LogMissing, event_log
from chat.events import Delta, Failed, LogEvent, is_last
from chat.models import ChatModel, Conversation, Message, User
from chat.models.conversation import Status
from chat.threads import in_database, let_go
from chat.viewers import Viewer
from chat.views import guard, present
from chat.views.event_source import events_of, reload
from chat.wire import PROTOCOLS, Encoder, encoder_for, sse
from chat.wire.html import HtmlEncoder

REPAINT = 0.085
RELOAD_GRACE = 2.0
HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}


class BrokenOff(Exception):
    """Raised inside a plain-text body: the only way to say there that the answer is not whole."""


def streaming(body: AsyncIterator[bytes], content_type: str, headers: dict[str, str] | None = None) -> HttpResponseBase:
    response = StreamingHttpResponse(body, content_type=content_type)
    for name, value in {**HEADERS, **(headers or {})}.items():
        response.headers[name] = value
    return response


@require_GET
async def stream(request: HttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    protocol = request.GET.get("protocol", "html")
    seen = sse.parse_last_event_id(request.headers.get("Last-Event-ID"))
    again = protocol == "html" and seen is not None
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return HttpResponse(status=403)
    person, message = await in_database(_find, request, message_id)
    if person is None:
        return _closed() if again else HttpResponse("Log in first.", status=401, content_type="text/plain")
    if message is None:
        return _closed() if again else HttpResponse("Not found.", status=404, content_type="text/plain")
    if protocol == "html":
        return streaming(_html(request, message, seen), HtmlEncoder.content_type)
    if protocol not in PROTOCOLS:
        return HttpResponse("Unknown protocol.", status=400, content_type="text/plain")
    encoder = encoder_for(protocol, after=seen or 0)
    body = told([], watched(message, settings.CHAT_ON_DISCONNECT, request), encoder)
    return streaming(body, encoder.content_type, encoder.headers)


def _closed() -> HttpResponseBase:
    """A reconnecting browser would ask for ever; this tells it that there is nothing more."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield HtmlEncoder("m-0", None).closing()

    return streaming(body(), HtmlEncoder.content_type)


_OWN_ANSWER = CompiledQuery(
    lambda: Message.objects.for_user(Given("user", models.IntegerField())).filter(
        pk=Given("pk", models.UUIDField()), role=Message.Role.ASSISTANT
    )
)


def _find(request: HttpRequest, message_id: uuid.UUID) -> tuple[User | None, Message | None]:
    """Who asks, and their answer."""
    person = guard.person_of(request)
    return person, _OWN_ANSWER.one(user=person.pk, pk=message_id) if person else None


def _viewer(message: Message, grace: float | None, request: HttpRequest | None) -> AbstractAsyncContextManager[Viewer]:
    return viewers.watching(
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
        _viewer(message, grace, request) as viewer,
        aclosing(events_of(message)) as source,
    ):
        let_go()
        async for events in source:
            if viewer.closed:
                return
            yield events
            let_go()


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


async def _html(request: HttpRequest, message: Message, shown: int | None) -> AsyncGenerator[bytes, None]:
    encoder = HtmlEncoder(f"m-{message.pk}", shown)
    yield sse.COMMENT_PING
    last: LogEvent | None = None
    async with (
        _viewer(message, _grace_of_a_page(), request) as viewer,
        aclosing(events_of(message, REPAINT)) as source,
    ):
        async for events in source:
            if viewer.closed:
                yield encoder.closing()
                return
            if frame := encoder.encode(events) or (b"" if events else sse.COMMENT_PING):
                yield frame
            last = events[-1] if events else last
    if isinstance(last, Failed) and last.code == errors.NotSaved.code:
        yield await _unsaved_frame(request, message, last, encoder)
    elif frame := await _last_frame(request, message.pk, encoder):
        yield frame


def _grace_of_a_page() -> float | None:
    """A page that is loaded again, or whose connection was cut, is back within a moment."""
    grace = settings.CHAT_ON_DISCONNECT
    return None if grace is None else max(grace, RELOAD_GRACE)


async def _last_frame(request: HttpRequest, message_id: uuid.UUID, encoder: HtmlEncoder) -> bytes:
    """Nothing while the database is away: a stream that ends without its closing event is asked for again."""

    def render() -> bytes:
        message = reload(message_id)
        if message is None:
            return encoder.closing()
        conversation, person = message.conversation, cast("User", request.user)
        if conversation.unread:
            Conversation.objects.mark_read(conversation.pk)
        message.set_siblings()
        allowed = ChatModel.objects.allowed_to(person)
        allowances = allowance.of(person)
        context = {
            "article": present.article(message, present.labels_of(allowed)),
            "models": allowed,
            "conversation": conversation,
            "allowances": allowances,
            "estimate": present.estimate(person, conversation, message, allowances),
        }
        return encoder.finish(render_to_string("chat/_after_answer.html", context, request))

    try:
        return await in_database(render)
    except (DatabaseError, errors.ChatError):
        return b""


async def _unsaved_frame(request: HttpRequest, message: Message, last: Failed, encoder: HtmlEncoder) -> bytes:
    """What the database should have, from the log: it still says that the answer is running."""
    text = ""
    with contextlib.suppress(LogMissing):
        async with aclosing(event_log().tail(message.pk)) as tail:
            async for events in tail:
                text += "".join(event.text for event in events if isinstance(event, Delta))
    message.status, message.error_code, message.content = last.status, last.code, text
    if last.status not in (Status.INTERRUPTED, Status.FAILED):
        message.status = Status.INTERRUPTED
    article = present.article(message)
    return encoder.finish(render_to_string("chat/_after_answer.html", {"article": article}, request))
