"""One answer of the model, from the request to the last event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress

import httpx2
from django.conf import settings

from chat import errors
from chat.events import FinishReason, ProviderEvent, StreamFinished, StreamOpened
from chat.infra.process import process
from chat.providers import failures
from chat.providers.client import provider_client
from chat.providers.failures import RequestFailure
from chat.providers.recent_errors import RecentErrors
from chat.providers.rejected_fields import RejectedFields
from chat.providers.request import CompletionRequest, json_fields
from chat.providers.stream_parser import StreamParser
from chat.providers.timeouts import AnswerTimeouts

logger = logging.getLogger(__name__)

USAGE_TIMEOUT = 3.0
"""Seconds to wait for the token counts after the finish reason."""
CLOSE_TIMEOUT = 0.05
"""Seconds to wait for the end of the body after `[DONE]`, so that the connection can be used again."""
MAX_REQUEST_ID_LENGTH = 128


async def stream_completion(request: CompletionRequest) -> AsyncGenerator[list[ProviderEvent], None]:
    """Send the request and yield the answer, one list of events for each read from the network.

    `StreamOpened` comes first, then text; last `Usage`, if known, and `StreamFinished`. Raises `ProviderError` only;
    the text yielded before it is part of the answer. The connection is closed when the task is cancelled or the
    generator is closed.
    """
    timeouts, response = AnswerTimeouts(), None
    try:
        response = await _open_stream(request, timeouts)
        yield [StreamOpened(request_id=_request_id(response))]
        parser = StreamParser(request)
        error: errors.ProviderError | None = None
        more = True
        async with aclosing(response.aiter_raw()) as chunks:
            while more and error is None:
                try:
                    more = await _read(chunks, parser, timeouts)
                except errors.ProviderError as raised:
                    error = raised
                if events := parser.take_events():
                    yield events
            for events in _last_events(parser, error, timeouts):
                yield events
    finally:
        if response is not None:
            await _close(response)
        timeouts.stop()


async def _open_stream(request: CompletionRequest, timeouts: AnswerTimeouts) -> httpx2.Response:
    """Return the response once its headers are there.

    Repeats the request without the optional fields that the server rejects, and once more after a failure that may
    pass, if there is time before the first-token timeout.
    """
    base_url, rejected_fields = settings.OPENAI_BASE_URL, process.part(RejectedFields)
    known = rejected = rejected_fields.get(base_url, request.model)
    model_specific = retried = False
    while True:
        result = await _try_once(json_fields(request, base_url, rejected), timeouts)
        if isinstance(result, httpx2.Response):
            if rejected != known:
                rejected_fields.add(rejected - known, base_url, request.model if model_specific else "")
            return result
        wait = result.retry_after_seconds
        if result.rejected_fields - rejected:
            rejected |= result.rejected_fields
            model_specific = model_specific or result.model_specific
        elif wait is not None and not retried and timeouts.has_time_for(wait):
            retried = True
            await asyncio.sleep(wait)
        else:
            raise _recorded(result.error, result.status)


async def _try_once(fields: dict[str, object], timeouts: AnswerTimeouts) -> httpx2.Response | RequestFailure:
    """Return an open response if it is an event stream, else the failure."""
    try:
        response = await timeouts.wait(provider_client().open_completion(fields))
    except Exception as exception:
        return failures.from_exception(exception)
    if _is_event_stream(response):
        return response
    await _close(response)
    return RequestFailure(error=errors.ProviderInterrupted(), status=response.status_code)


def _is_event_stream(response: httpx2.Response) -> bool:
    """Tell whether the body is an event stream that is not compressed; the request asks for identity encoding."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "").strip().lower()
    return media_type == "text/event-stream" and encoding in ("", "identity")


async def _read(chunks: AsyncIterator[bytes], parser: StreamParser, timeouts: AnswerTimeouts) -> bool:
    """Pass one read from the network to the parser. Return False when there is no more to read."""
    try:
        data = await timeouts.wait(anext(chunks, None))
    except TimeoutError:
        raise errors.ProviderTimeout from None
    except Exception as exception:
        if not isinstance(exception, httpx2.HTTPError):
            logger.error("unexpected error while reading an answer: %s", type(exception).__name__)
        raise errors.ProviderInterrupted from None
    if data is None:
        parser.end()
        return False
    parser.feed(data)
    if parser.finish_reason is not None or parser.done:
        timeouts.limit_remaining(CLOSE_TIMEOUT if parser.done else USAGE_TIMEOUT)
    elif parser.has_new_text():
        timeouts.reset_stall()
    if not timeouts.has_time_for(0):
        raise errors.ProviderTimeout
    return not parser.too_long


def _last_events(
    parser: StreamParser, error: errors.ProviderError | None, timeouts: AnswerTimeouts
) -> Iterator[list[ProviderEvent]]:
    """Yield the last events of an answer, or raise `ProviderError`.

    After the provider's finish reason an error has no effect: the answer is complete.
    """
    if events := parser.flush_surrogates():
        yield events
    counts = parser.usage()
    usage: list[ProviderEvent] = [counts] if counts else []
    reason = parser.final_reason() or _reason_of_cut(parser, error, timeouts)
    if reason is None:
        ended = errors.ProviderInterrupted() if parser.has_chunks else errors.EmptyAnswer()
        raise _recorded(ended if error is None or parser.done else error)
    if reason in ("stop", "length") and not parser.text_chars:
        if usage:
            yield usage
        raise _recorded(errors.EmptyAnswer())
    yield [*usage, StreamFinished(reason=reason)]


def _reason_of_cut(
    parser: StreamParser, error: errors.ProviderError | None, timeouts: AnswerTimeouts
) -> FinishReason | None:
    """An answer that has text and was cut by one of our limits counts as too long."""
    expired = isinstance(error, errors.ProviderTimeout) and timeouts.answer_expired()
    return "length" if parser.text_chars and (parser.too_long or expired) else None


async def _close(response: httpx2.Response) -> None:
    """Close the connection unless the body was read to its end. Errors while closing are ignored."""
    with suppress(Exception):
        await response.aclose()


def _recorded(error: errors.ProviderError, status: int | None = None) -> errors.ProviderError:
    process.part(RecentErrors).add(error, status)
    return error


def _request_id(response: httpx2.Response) -> str:
    """The provider's id of the request, without characters that do not belong in a log line."""
    value = response.headers.get("x-request-id", "")
    return "".join(character for character in value if character.isprintable())[:MAX_REQUEST_ID_LENGTH]
