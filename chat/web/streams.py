"""`GET /m/<uuid>/stream/`: one assistant message as it grows. Only reads."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from django.conf import settings
from django.db import DatabaseError, models
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest, current_user
from chat.eventlog import LogMissing, event_log
from chat.events import Delta, Failed, LogEvent
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.limits import status
from chat.models import ChatModel, Conversation, Message, Status, User
from chat.streaming import presenter, sse
from chat.streaming.encoders import PROTOCOLS, encoder_for
from chat.streaming.encoders.html import HtmlEncoder
from chat.streaming.reader import events_of, reload
from chat.streaming.responses import reading, streaming, told, watched

REPAINT = 0.085
RELOAD_GRACE = 2.0


@require_GET
async def stream(request: HttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    protocol = request.GET.get("protocol", "html")
    seen = sse.parse_last_event_id(request.headers.get("Last-Event-ID"))
    again = protocol == "html" and seen is not None
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return HttpResponse(status=403)
    person, message = await run_in_db_thread(_find, request, message_id)
    if person is None:
        return _closed() if again else HttpResponse("Log in first.", status=401, content_type="text/plain")
    if message is None:
        return _closed() if again else HttpResponse("Not found.", status=404, content_type="text/plain")
    if protocol == "html":
        return streaming(_html(cast("AuthenticatedHttpRequest", request), message, seen), HtmlEncoder.content_type)
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


_OWN_ANSWER = PreparedQuery(
    lambda: Message.objects.for_user(Parameter("user", models.IntegerField())).filter(
        pk=Parameter("pk", models.UUIDField()), role=Message.Role.ASSISTANT
    )
)


def _find(request: HttpRequest, message_id: uuid.UUID) -> tuple[User | None, Message | None]:
    """Who asks, and their answer."""
    person = current_user(request)
    return person, _OWN_ANSWER.one(user=person.pk, pk=message_id) if person else None


async def _html(request: AuthenticatedHttpRequest, message: Message, shown: int | None) -> AsyncGenerator[bytes, None]:
    encoder = HtmlEncoder(f"m-{message.pk}", shown)
    yield sse.COMMENT_PING
    last: LogEvent | None = None
    async with (
        reading(message, _grace_of_a_page(), request) as viewer,
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


async def _last_frame(request: AuthenticatedHttpRequest, message_id: uuid.UUID, encoder: HtmlEncoder) -> bytes:
    """Nothing while the database is away: a stream that ends without its closing event is asked for again."""

    def render() -> bytes:
        message = reload(message_id)
        if message is None:
            return encoder.closing()
        conversation, person = message.conversation, request.user
        if conversation.unread:
            Conversation.objects.mark_read(conversation.pk)
        message.load_siblings()
        allowed = ChatModel.objects.allowed_to(person)
        allowances = status.limit_statuses(person)
        context = {
            "article": presenter.article(message, presenter.labels_of(allowed)),
            "models": allowed,
            "conversation": conversation,
            "allowances": allowances,
            "estimate": presenter.estimate(person, conversation, message, allowances),
        }
        return encoder.finish(render_to_string("chat/_after_answer.html", context, request))

    try:
        return await run_in_db_thread(render)
    except (DatabaseError, errors.ChatError):
        return b""


async def _unsaved_frame(
    request: AuthenticatedHttpRequest, message: Message, last: Failed, encoder: HtmlEncoder
) -> bytes:
    """What the database should have, from the log: it still says that the answer is running."""
    text = ""
    with contextlib.suppress(LogMissing):
        async with aclosing(event_log().tail(message.pk)) as tail:
            async for events in tail:
                text += "".join(event.text for event in events if isinstance(event, Delta))
    message.status, message.error_code, message.content = last.status, last.code, text
    if last.status not in (Status.INTERRUPTED, Status.FAILED):
        message.status = Status.INTERRUPTED
    article = presenter.article(message)
    return encoder.finish(render_to_string("chat/_after_answer.html", {"article": article}, request))
