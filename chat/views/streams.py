"""`GET /m/<uuid>/stream/`: one assistant message as it grows. Only reads."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import allowance, errors, viewers
from chat.eventlog import LogMissing, event_log
from chat.events import Delta, Failed, Finished, LogEvent, Reasoning, Started, Usage, is_last
from chat.models import ChatModel, Message
from chat.models.conversation import Status
from chat.threads import in_database
from chat.views import guard, present
from chat.wire import PROTOCOLS, Encoder, encoder_for, sse
from chat.wire.html import HtmlEncoder

REPAINT = 0.085
POLL = 1.0
RECHECK = 6.0
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
    person = await guard.person_of(request)
    if person is None:
        return _closed() if again else HttpResponse("Log in first.", status=401, content_type="text/plain")
    message = await in_database(_find, person.pk, message_id)
    if message is None:
        return _closed() if again else HttpResponse("Not found.", status=404, content_type="text/plain")
    if protocol == "html":
        return streaming(_html(request, message, seen), HtmlEncoder.content_type)
    if protocol not in PROTOCOLS:
        return HttpResponse("Unknown protocol.", status=400, content_type="text/plain")
    encoder = encoder_for(protocol, after=seen or 0)
    return streaming(
        encoded(message, encoder, grace=settings.CHAT_ON_DISCONNECT), encoder.content_type, encoder.headers
    )


def _closed() -> HttpResponseBase:
    """A reconnecting browser would ask for ever; this tells it that there is nothing more."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield HtmlEncoder("m-0", None).closing()

    return streaming(body(), HtmlEncoder.content_type)


def _find(user_id: int, message_id: uuid.UUID) -> Message | None:
    return (
        Message.objects.filter(
            pk=message_id, role=Message.Role.ASSISTANT, conversation__user=user_id, conversation__deleted_at=None
        )
        .select_related("conversation")
        .first()
    )


def _reload(message_id: uuid.UUID) -> Message | None:
    return Message.objects.filter(pk=message_id, conversation__deleted_at=None).select_related("conversation").first()


def stored_events(message: Message) -> list[LogEvent]:
    """An ended message as the log it once had."""
    events: list[LogEvent] = [Started(message_id=str(message.pk), model=message.model)]
    if message.reasoning:
        events.append(Reasoning(text=message.reasoning))
    if message.content:
        events.append(Delta(text=message.content))
    if message.status in (Status.FAILED, Status.INTERRUPTED):
        retry_after = present.article(message).retry_after or None
        sentence = present.notice_of(message)
        events.append(Failed(status=message.status, code=message.error_code, message=sentence, retry_after=retry_after))
    elif not message.is_running:
        usage = Usage(prompt_tokens=message.prompt_tokens or 0, completion_tokens=message.completion_tokens or 0)
        events.append(Finished(status=message.status, usage=usage))
    return events


async def events_of(message: Message) -> AsyncGenerator[list[LogEvent], None]:
    """The events of a message wherever they are: in the log, or growing in the database.

    An empty list means silence. Ends after the last event, or when the message is gone.
    """
    log = event_log()
    try:
        async with aclosing(log.tail(message.pk)) as tail:
            async for events in tail:
                yield events
                if events and is_last(events[-1]):
                    return
    except LogMissing:
        pass
    else:
        return
    async for events in _polled(message.pk):
        yield events


async def _polled(message_id: uuid.UUID) -> AsyncGenerator[list[LogEvent], None]:
    """For an answer of another process without a shared log: its checkpoints, once a second."""
    shown = thought = 0
    first = True
    while True:
        message = await in_database(_reload, message_id)
        if message is None:
            return
        if not message.is_running and first:
            yield stored_events(message)
            return
        events: list[LogEvent] = [Started(message_id=str(message.pk), model=message.model)] if first else []
        first = False
        if len(message.reasoning) > thought:
            events.append(Reasoning(text=message.reasoning[thought:]))
            thought = len(message.reasoning)
        if len(message.content) > shown:
            events.append(Delta(text=message.content[shown:]))
            shown = len(message.content)
        if not message.is_running:
            yield [*events, stored_events(message)[-1]]
            return
        yield events
        await asyncio.sleep(POLL)


async def encoded(message: Message, encoder: Encoder, *, grace: float | None) -> AsyncGenerator[bytes, None]:
    """The body for every protocol but html. Raises `BrokenOff` where only that tells of a failure."""
    if opening := encoder.open():
        yield opening
    async with (
        viewers.watching(message.conversation.user_id, message.pk, grace=grace) as viewer,
        aclosing(events_of(message)) as source,
    ):
        async for events in source:
            if viewer.closed:
                break
            if not events:
                if encoder.heartbeat:
                    yield encoder.heartbeat
                continue
            if data := encoder.encode(events):
                yield data
            if isinstance(events[-1], Failed) and encoder.breaks_on_failure:
                raise BrokenOff


async def _html(request: HttpRequest, message: Message, shown: int | None) -> AsyncGenerator[bytes, None]:
    encoder = HtmlEncoder(f"m-{message.pk}", shown)
    yield sse.COMMENT_PING
    checked = time.monotonic()
    async with (
        viewers.watching(message.conversation.user_id, message.pk, grace=settings.CHAT_ON_DISCONNECT) as viewer,
        aclosing(events_of(message)) as source,
    ):
        painted = 0.0
        async for events in source:
            if viewer.closed:
                yield encoder.closing()
                return
            yield encoder.encode(events) or (b"" if events else sse.COMMENT_PING)
            if events and is_last(events[-1]):
                break
            if time.monotonic() - checked > RECHECK:
                checked = time.monotonic()
                if not await still_in(request):
                    yield encoder.closing()
                    return
            pause = painted + REPAINT - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            painted = time.monotonic()
    yield await _last_frame(request, message.pk, encoder)


async def still_in(request: HttpRequest) -> bool:
    """Whether the session that opened this stream is still good; a database that is away changes nothing."""

    def check() -> bool:
        session = request.session
        fresh = type(session)(session.session_key)
        if fresh.session_key is None or not fresh.exists(fresh.session_key):
            return False
        probe = HttpRequest()
        probe.session = fresh
        user = get_user(probe)
        return bool(user.is_authenticated and user.is_active)

    try:
        return await in_database(check)
    except DatabaseError:
        return True


async def _last_frame(request: HttpRequest, message_id: uuid.UUID, encoder: HtmlEncoder) -> bytes:
    def render() -> bytes:
        message = _reload(message_id)
        if message is None:
            return encoder.closing()
        branch = message.conversation.branch()
        message = next((item for item in branch if item.pk == message_id), message)
        context = {"article": present.article(message, present.labels_of(ChatModel.objects.all()))}
        article_html = render_to_string("chat/_article.html", context, request)
        after = {**context, "conversation": message.conversation, "allowances": allowance.of(message.conversation.user)}
        extra = render_to_string("chat/_after_answer.html", after, request)
        return encoder.finish(article_html, extra)

    try:
        return await in_database(render)
    except (DatabaseError, errors.ChatError):
        return encoder.closing()
