"""The JSON API: `/api/chat`, `/api/completion`, and a chat's stream and stop.

What clients post and how each wants to be answered: `chat.api.bodies` and `chat.streaming`.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.http.request import RawPostDataException, UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chat import errors
from chat.accounts import api_keys
from chat.accounts.http import current_user
from chat.answers import start
from chat.api import bodies
from chat.events import Delta, Failed, LogEvent, Started, is_last
from chat.infra.database_threads import raise_if_cancelled, run_in_db_thread
from chat.limits import limiter
from chat.models import User
from chat.streaming import sse
from chat.streaming.encoders import PROTOCOLS, Encoder, encoder_for
from chat.streaming.error_bodies import body as refusal_body
from chat.streaming.error_responses import AsyncView, errors_as
from chat.streaming.responses import streaming, told, watched

# Without events of their own for it, these can tell of a failure before the first word by the status alone.
STATUS_TELLS = ("text", "data")
SWITCH = {"0": False, "false": False, "1": True, "true": True}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the address asks for. `chat_id` is how version 4 names the chat to resume."""

    protocol: str | None
    stream: bool | None
    resumable: bool
    chat_id: str | None


def options_of(request: HttpRequest) -> Options:
    """Raises BadRequest. Version 4 appends `?chatId=` also to an address that has a query."""
    query = QueryDict(request.META["QUERY_STRING"].replace("?", "&"))
    try:
        stream = SWITCH[query["stream"]] if "stream" in query else None
        resumable = SWITCH[query.get("resume", "0")]
    except KeyError:
        raise errors.BadRequest from None
    return Options(
        protocol=query.get("protocol"), stream=stream, resumable=resumable, chat_id=query.get("chatId") or None
    )


def refusal(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    """In the manner of whoever asks, as far as its address or body tells."""
    given = request.GET.get("protocol", "ui" if request.method == "GET" else None)
    try:
        posted = b"" if request.method == "GET" else _posted(request)
    except errors.InvalidInput:
        posted = b""
    content_type, content = refusal_body(bodies.protocol_of(posted, given), error)
    return HttpResponse(content, status=error.status, content_type=content_type)


async def refuse_client(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    return refusal(request, error)


def client_view(view: AsyncView) -> AsyncView:
    """A view of the API: every refusal in its caller's manner."""

    @errors_as(refuse_client)
    @functools.wraps(view)
    async def wrapped(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        raise_if_cancelled()
        try:
            return await view(request, *args, **kwargs)
        except DatabaseError as error:
            raise errors.DatabaseUnavailable from error

    return wrapped


@require_http_methods(["GET", "POST"])
@client_view
async def chat(request: HttpRequest) -> HttpResponseBase:
    options = options_of(request)
    if request.method == "GET":
        return await _resumed(request, options.chat_id, "data") if options.chat_id else HttpResponseNotAllowed(["POST"])
    person = await _caller(request)
    body = bodies.parse_chat(
        _posted(request), protocol=options.protocol, stream=options.stream, max_messages=settings.CHAT_MAX_MESSAGES
    )
    verb = start.answer_once if body.chat_id is None else start.converse
    return await _answered(await verb(person, body, stays=options.resumable), body, options)


@require_POST
@client_view
async def completion(request: HttpRequest) -> HttpResponseBase:
    options = options_of(request)
    person = await _caller(request)
    body = bodies.parse_completion(_posted(request), protocol=options.protocol, stream=options.stream)
    return await _answered(await start.answer_once(person, body, stays=options.resumable), body, options)


@require_GET
@client_view
async def stream(request: HttpRequest, chat_id: str) -> HttpResponseBase:
    return await _resumed(request, chat_id, "ui")


@require_POST
@client_view
async def stop(request: HttpRequest, chat_id: str) -> HttpResponseBase:
    """What the body says about the answer is not believed, so it is not read."""
    person = await _caller(request)
    if running := await start.running_in_chat(person, chat_id):
        await start.stop(person, running.pk)
    return HttpResponse(status=204)


async def _caller(request: HttpRequest) -> User:
    """The owner of the bearer key or of the session. Raises NotLoggedIn, Forbidden."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found = await run_in_db_thread(api_keys.authenticate, key.strip())
        person = found.user if found else None
    elif request.headers.get("Sec-Fetch-Site") == "cross-site":
        raise errors.Forbidden
    else:
        person = await run_in_db_thread(current_user, request)
    if person is None:
        raise errors.NotAuthenticated
    return person


def _posted(request: HttpRequest) -> bytes:
    """The body, whatever its type claims; forms with files in them are none of ours. Raises BadRequest, TooLarge."""
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


async def _resumed(request: HttpRequest, chat_id: str, protocol: str) -> HttpResponseBase:
    """The running answer from its start; 204 where nothing runs, in whosever chat."""
    protocol = options_of(request).protocol or protocol
    if protocol not in PROTOCOLS:
        raise errors.BadRequest
    answer = await start.running_in_chat(await _caller(request), chat_id)
    if answer is None:
        # A hook of version 4 calls a missing body an error, an empty one nothing.
        return HttpResponse(status=204) if protocol != "data" else HttpResponse(content_type="text/plain")
    seen = sse.parse_last_event_id(request.headers.get("Last-Event-ID"))
    encoder = encoder_for(protocol, after=seen or 0)
    return streaming(told([], watched(answer, None), encoder), encoder.content_type, encoder.headers)


async def _answered(sent: start.Sent, body: bodies.ChatBody, options: Options) -> HttpResponseBase:
    encoder = encoder_for(body.protocol)
    source = watched(sent.answer, None if options.resumable else 0.0)
    if not body.stream:
        response: HttpResponseBase = await _whole(source, encoder)
    else:
        held = await _until_a_word(source) if body.protocol in STATUS_TELLS else []
        response = streaming(told(held, source, encoder), encoder.content_type, encoder.headers)
    for name, value in limiter.headers(sent.grant.states if sent.grant else ()).items():
        response.headers[name] = value
    return response


async def _until_a_word(source: AsyncGenerator[list[LogEvent], None]) -> list[LogEvent]:
    """What the log says up to its first word, or until it has been silent for a while.

    Raises the failure of an answer that ended without a word.
    """
    held: list[LogEvent] = []
    async for events in source:
        held += events
        if not events or not isinstance(events[-1], Started):
            break
    if held and isinstance(held[-1], Failed) and not any(isinstance(event, Delta) for event in held):
        await source.aclose()
        raise _error_of(held[-1])
    return held


async def _whole(source: AsyncGenerator[list[LogEvent], None], encoder: Encoder) -> HttpResponse:
    """An answer that is not streamed. It is all there or it is refused."""
    async with aclosing(source):
        events = [event async for batch in source for event in batch]
    if not events or not is_last(events[-1]):
        raise errors.NotFound
    if isinstance(events[-1], Failed):
        raise _error_of(events[-1])
    content = encoder.open() + encoder.encode(events)
    return HttpResponse(content, content_type=encoder.content_type, headers=encoder.headers)


def _error_of(failure: Failed) -> errors.ChatError:
    kinds: list[type[errors.ChatError]] = [*errors.ProviderError.__subclasses__(), errors.ProviderError]
    kind = next((each for each in kinds if each.code == failure.code), errors.ChatError)
    return kind(failure.message, retry_after=failure.retry_after)
