"""The JSON API: `/api/chat`, `/api/completion`, and a chat's stream and stop.

What clients post is described in `chat.api.bodies`, how each wants to be answered in `chat.streaming.encoders`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.http.request import RawPostDataException, UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chat import answers, errors
from chat.accounts import api_keys
from chat.accounts.http import current_user
from chat.answers import AnswerRequest, ChatBody
from chat.api import bodies
from chat.events import LAST_EVENTS, Delta, Failed
from chat.infra.database_threads import raise_if_cancelled, run_in_db_thread
from chat.limits import limiter
from chat.models import User
from chat.streaming import error_bodies, sse
from chat.streaming.encoders import API_PROTOCOLS, Encoder, encoder_for
from chat.streaming.error_responses import AsyncView, errors_as
from chat.streaming.reader import Events, follow, read_all, read_until_text
from chat.streaming.responses import encoded_response

FAILURE_BY_STATUS = ("text", "data")
"""Without events of their own for it, these tell a failure before the first text by the status alone."""
SWITCH = {"0": False, "false": False, "1": True, "true": True}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the query string asks for. `chat_id` is how version 4 of the AI SDK names the chat to resume.

    `grace` is how many seconds the answer goes on without its client: 0, or None, until its end, with `?resume=1`.
    """

    protocol: str | None
    stream: bool | None
    grace: float | None
    chat_id: str | None


def options_of(request: HttpRequest) -> Options:
    """Raises `BadRequest`. Version 4 appends `?chatId=` also to an address that has a query string."""
    query = QueryDict(request.META["QUERY_STRING"].replace("?", "&"))
    try:
        stream = SWITCH[query["stream"]] if "stream" in query else None
        resumable = SWITCH[query.get("resume", "0")]
    except KeyError:
        raise errors.BadRequest from None
    return Options(
        protocol=query.get("protocol"),
        stream=stream,
        grace=None if resumable else 0.0,
        chat_id=query.get("chatId") or None,
    )


def error_response(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    """In the format of the caller's protocol, as far as its address or body tells."""
    given = request.GET.get("protocol", "ui" if request.method == "GET" else None)
    try:
        posted = b"" if request.method == "GET" else _posted(request)
    except errors.InvalidInput:
        posted = b""
    content_type, content = error_bodies.body(bodies.protocol_of(posted, given), error)
    return HttpResponse(content, status=error.status, content_type=content_type)


async def _error_response(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    return error_response(request, error)


def api_view(view: AsyncView) -> AsyncView:
    """Decorator: every error in the format of its caller."""

    @errors_as(_error_response)
    @functools.wraps(view)
    async def wrapped(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        raise_if_cancelled()
        try:
            return await view(request, *args, **kwargs)
        except DatabaseError as error:
            raise errors.DatabaseUnavailable from error

    return wrapped


@require_http_methods(["GET", "POST"])
@api_view
async def chat(request: HttpRequest) -> HttpResponseBase:
    options = options_of(request)
    if request.method == "GET":
        if not options.chat_id:
            return HttpResponseNotAllowed(["POST"])
        return await _resumed_response(request, options.chat_id, "data")
    user = await _authenticate(request)
    body = bodies.parse_chat(
        _posted(request), protocol=options.protocol, stream=options.stream, max_messages=settings.CHAT_MAX_MESSAGES
    )
    start = answers.reply_once if body.chat_id is None else answers.reply_in_chat
    return await _answer_response(await start(user, body, grace=options.grace), body)


@require_POST
@api_view
async def completion(request: HttpRequest) -> HttpResponseBase:
    options = options_of(request)
    user = await _authenticate(request)
    body = bodies.parse_completion(_posted(request), protocol=options.protocol, stream=options.stream)
    return await _answer_response(await answers.reply_once(user, body, grace=options.grace), body)


@require_GET
@api_view
async def stream(request: HttpRequest, chat_id: str) -> HttpResponseBase:
    return await _resumed_response(request, chat_id, "ui")


@require_POST
@api_view
async def stop(request: HttpRequest, chat_id: str) -> HttpResponseBase:
    """The body is not read: the address says what to stop."""
    user = await _authenticate(request)
    if running := await answers.find_running_in_chat(user, chat_id):
        await answers.stop(user, running.pk)
    return HttpResponse(status=204)


async def _authenticate(request: HttpRequest) -> User:
    """The owner of the bearer key or of the session. Raises `NotAuthenticated`, `Forbidden`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found = await run_in_db_thread(api_keys.authenticate, key.strip())
        user = found.user if found else None
    elif request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise errors.Forbidden
    else:
        user = await run_in_db_thread(current_user, request)
    if user is None:
        raise errors.NotAuthenticated
    return user


def _posted(request: HttpRequest) -> bytes:
    """The body, whatever its content type; multipart forms are refused. Raises `BadRequest`, `TooLarge`."""
    if (request.content_type or "").startswith("multipart/"):
        raise errors.BadRequest
    try:
        raw = request.body
    except RequestDataTooBig:
        raise errors.TooLarge from None
    except (UnreadablePostError, RawPostDataException):
        raise errors.BadRequest from None
    if len(raw) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:  # a chunked body announces no length
        raise errors.TooLarge
    return raw


async def _resumed_response(request: HttpRequest, chat_id: str, protocol: str) -> HttpResponseBase:
    """The running answer from its start; 204 where nothing runs, in whosever chat."""
    protocol = options_of(request).protocol or protocol
    if protocol not in API_PROTOCOLS:
        raise errors.BadRequest
    answer = await answers.find_running_in_chat(await _authenticate(request), chat_id)
    if answer is None:
        # A hook of version 4 calls a missing body an error, an empty one nothing.
        return HttpResponse(status=204) if protocol != "data" else HttpResponse(content_type="text/plain")
    seen = sse.parse_last_event_id(request.headers.get("Last-Event-ID"))
    return encoded_response(follow(answer, grace=None), encoder_for(protocol, after=seen))


async def _answer_response(started: AnswerRequest, body: ChatBody) -> HttpResponseBase:
    encoder = encoder_for(body.protocol)
    events = follow(started.answer, grace=started.grace)
    if not body.stream:
        response: HttpResponseBase = await _whole_response(events, encoder)
    elif body.protocol in FAILURE_BY_STATUS:
        first = await read_until_text(events)
        if first and isinstance(first[-1], Failed) and not any(isinstance(event, Delta) for event in first):
            await events.aclose()
            raise _error_of(first[-1])
        response = encoded_response(events, encoder, first=first)
    else:
        response = encoded_response(events, encoder)
    for name, value in limiter.headers(started.grant.states if started.grant else ()).items():
        response.headers[name] = value
    return response


async def _whole_response(events: Events, encoder: Encoder) -> HttpResponse:
    """An answer that is not streamed: whole, or an error."""
    read = await read_all(events)
    if not read or not isinstance(read[-1], LAST_EVENTS):
        raise errors.NotFound
    if isinstance(read[-1], Failed):
        raise _error_of(read[-1])
    return HttpResponse(
        encoder.open() + encoder.encode(read), content_type=encoder.content_type, headers=dict(encoder.headers)
    )


def _error_of(failure: Failed) -> errors.ChatError:
    kind = errors.error_classes().get(failure.code, errors.ChatError)
    if not issubclass(kind, errors.ProviderError):
        kind = errors.ChatError
    return kind(failure.message, retry_after=failure.retry_after)
