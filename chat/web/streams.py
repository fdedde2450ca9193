"""`GET /m/<uuid>/stream/`: one assistant message as it grows, in any protocol. Only reads."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from functools import partial

from django.conf import settings
from django.db import DatabaseError, models
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from chat import errors
from chat.accounts.http import current_user
from chat.answers.disconnect import page_grace
from chat.events import Delta, Failed, LogEvent
from chat.infra.database_threads import run_in_db_thread
from chat.infra.prepared_queries import Parameter, PreparedQuery
from chat.limits.status import limit_statuses
from chat.models import ChatModel, Conversation, Message, Status, User
from chat.streaming import presenter, sse
from chat.streaming.encoders import ENCODERS, encoder_for
from chat.streaming.encoders.html import CLOSE, HtmlEncoder
from chat.streaming.reader import follow, load_message, read_all, read_events
from chat.streaming.responses import encoded_response, streaming_response
from chat.web import composer


@require_GET
async def stream(request: HttpRequest, message_id: uuid.UUID) -> HttpResponseBase:
    protocol = request.GET.get("protocol", "html")
    seen = sse.parse_last_event_id(request.headers.get("Last-Event-ID"))
    reconnects = protocol == "html" and seen is not None
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return HttpResponse(status=403)
    user, answer = await run_in_db_thread(_find, request, message_id)
    if user is None:
        return _closed() if reconnects else HttpResponse("Log in first.", status=401, content_type="text/plain")
    if answer is None:
        return _closed() if reconnects else HttpResponse("Not found.", status=404, content_type="text/plain")
    if protocol not in ENCODERS:
        return HttpResponse("Unknown protocol.", status=400, content_type="text/plain")
    encoder = encoder_for(protocol, message_id=answer.pk, after=seen)
    is_page = isinstance(encoder, HtmlEncoder)
    grace = page_grace() if is_page else settings.CHAT_ON_DISCONNECT
    events = follow(answer, grace=grace, session_key=request.session.session_key, every=encoder.interval)
    finish = partial(_final_article, request, user, answer, encoder) if isinstance(encoder, HtmlEncoder) else None
    return encoded_response(events, encoder, finish=finish)


def _closed() -> HttpResponseBase:
    """Tell a reconnecting browser that nothing follows; after an error status it would reconnect without end."""

    async def body() -> AsyncGenerator[bytes, None]:
        yield CLOSE

    return streaming_response(body(), HtmlEncoder.content_type)


_FIND_OWN_ANSWER = PreparedQuery(
    lambda: Message.objects.for_user(Parameter("user", models.IntegerField())).filter(
        pk=Parameter("pk", models.UUIDField()), role=Message.Role.ASSISTANT
    )
)


def _find(request: HttpRequest, message_id: uuid.UUID) -> tuple[User | None, Message | None]:
    """The user, and the user's answer."""
    user = current_user(request)
    return user, _FIND_OWN_ANSWER.one(user=user.pk, pk=message_id) if user else None


async def _final_article(
    request: HttpRequest, user: User, answer: Message, encoder: HtmlEncoder, last: LogEvent
) -> bytes:
    """The end of a page's stream. Nothing while the database is away: the page then asks again."""
    if isinstance(last, Failed) and last.code == errors.NotSaved.code:
        return await _unsaved_article(request, answer, last, encoder)
    try:
        return await run_in_db_thread(_render_final, request, user, answer.pk, encoder)
    except (DatabaseError, errors.ChatError):
        return b""


def _render_final(request: HttpRequest, user: User, message_id: uuid.UUID, encoder: HtmlEncoder) -> bytes:
    message = load_message(message_id)
    if message is None:
        return CLOSE
    conversation = message.conversation
    if conversation.unread:
        Conversation.objects.mark_read(conversation.pk)
    message.load_siblings()
    allowed = ChatModel.objects.allowed_to(user)
    limits = limit_statuses(user)
    context = {
        "article": presenter.article(message, presenter.model_labels(allowed)),
        "models": allowed,
        "conversation": conversation,
        "allowances": limits,
        "estimate": composer.estimate(user, conversation, message, limits),
    }
    return encoder.finish(render_to_string("chat/_after_answer.html", context, request))


async def _unsaved_article(request: HttpRequest, answer: Message, last: Failed, encoder: HtmlEncoder) -> bytes:
    """What the database should hold, from the log: the row still says that the answer is running."""
    events = await read_all(read_events(answer))
    answer.content = "".join([event.text for event in events if isinstance(event, Delta)])
    answer.status = last.status if last.status in (Status.INTERRUPTED, Status.FAILED) else Status.INTERRUPTED
    answer.error_code = last.code
    context = {"article": presenter.article(answer)}
    return encoder.finish(render_to_string("chat/_after_answer.html", context, request))
