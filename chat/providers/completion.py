"""One answer of the model, from request to last event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import httpx2
from django.conf import settings

from chat import errors
from chat.events import FinishReason, ProviderEvent, StreamFinished, StreamOpened
from chat.providers import client, failures, recent_errors
from chat.providers.failures import RequestFailure
from chat.providers.request import CompletionRequest, body, remember_turned_down, turned_down
from chat.providers.stream_parser import StreamParser
from chat.providers.timeouts import AnswerTimeouts

logger = logging.getLogger(__name__)

LATE_USAGE = 3.0
AFTER_DONE = 0.05
REQUEST_ID_LENGTH = 128


async def stream_completion(request: CompletionRequest) -> AsyncGenerator[list[ProviderEvent], None]:
    """One list of events per network read: `Opened` first, then text, at the end `Usage` if known and `Finish`.

    Raises `UpstreamError` only; the text yielded before it is good. Cancelling the
    task, or closing the generator, closes the connection.
    """
    clock, response = AnswerTimeouts(), None
    try:
        response = await _open(request, clock)
        yield [StreamOpened(request_id=_request_id(response))]
        reader = StreamParser(request)
        fault: errors.ProviderError | None = None
        more = True
        async with aclosing(response.aiter_raw()) as chunks:
            while more and fault is None:
                try:
                    more = await _read(chunks, reader, clock)
                except errors.ProviderError as error:
                    fault = error
                if events := reader.take():
                    yield events
            for events in _ending(reader, fault, clock):
                yield events
    finally:
        if response is not None:
            await _close(response)
        clock.stop()


async def _read(chunks: AsyncIterator[bytes], reader: StreamParser, clock: AnswerTimeouts) -> bool:
    """Feeds one network read to the reader; False when no more is to be read."""
    try:
        data = await clock.wait(anext(chunks, None))
    except TimeoutError:
        raise errors.ProviderTimeout from None
    except Exception as exception:
        if not isinstance(exception, httpx2.HTTPError):
            logger.error("reading an answer broke: %s", type(exception).__name__)
        raise errors.ProviderInterrupted from None
    if data is None:
        reader.end()
        return False
    reader.feed(data)
    if reader.finish is not None or reader.done:
        clock.at_most(AFTER_DONE if reader.done else LATE_USAGE)
    elif reader.has_text():
        clock.restart()
    if not clock.leaves(0):
        raise errors.ProviderTimeout
    return not reader.full


def _ending(
    reader: StreamParser, fault: errors.ProviderError | None, clock: AnswerTimeouts
) -> Iterator[list[ProviderEvent]]:
    """The last events, or the error, of an answer that will not go on.

    A fault after the provider's finish reason harms nothing. Where a limit of ours cut
    the answer it counts as too long, unless there is no text at all.
    """
    if events := reader.take_halves():
        yield events
    reason, usage = reader.reason() or _cut(reader, fault, clock), reader.usage()
    if reason is None:
        ended = errors.EmptyAnswer() if reader.empty else errors.ProviderInterrupted()
        raise _noted(ended if fault is None or reader.done else fault)
    if reason in ("stop", "length") and not reader.chars:
        if usage:
            yield usage
        raise _noted(errors.EmptyAnswer())
    yield [*usage, StreamFinished(reason=reason)]


def _cut(reader: StreamParser, fault: errors.ProviderError | None, clock: AnswerTimeouts) -> FinishReason | None:
    late = isinstance(fault, errors.ProviderTimeout) and clock.answer_is_over()
    return "length" if reader.chars and (reader.full or late) else None


async def _open(request: CompletionRequest, clock: AnswerTimeouts) -> httpx2.Response:
    """The success response to the request.

    Asks again without optional fields that the server names, and once more where the
    fault allows it and the first-token clock leaves time.
    """
    base_url = settings.OPENAI_BASE_URL
    known = without = turned_down(base_url, request.model)
    for_model = patient = False
    while True:
        answer = await _attempt(body(request, base_url, without), clock)
        if isinstance(answer, httpx2.Response):
            if without != known:
                remember_turned_down(base_url, without - known, request.model if for_model else "")
            return answer
        if answer.fields - without:
            without, for_model = without | answer.fields, for_model or answer.for_model
        elif answer.again_after is not None and not patient and clock.leaves(answer.again_after):
            patient = True
            await asyncio.sleep(answer.again_after)
        else:
            raise _noted(answer.error, answer.status)


async def _attempt(fields: dict[str, Any], clock: AnswerTimeouts) -> httpx2.Response | RequestFailure:
    """A response that is to be read is open; a refused one is closed."""
    try:
        response = await clock.wait(client.provider().complete(fields))
        if _is_stream(response):
            return response
        try:
            if response.is_success:
                return RequestFailure(error=errors.ProviderInterrupted(), status=response.status_code)
            await clock.wait(response.aread())
            return failures.from_response(response)
        finally:
            await _close(response)
    except Exception as exception:
        return failures.from_exception(exception)


def _is_stream(response: httpx2.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    plain = response.headers.get("content-encoding", "identity").strip().lower() in ("", "identity")
    return response.is_success and kind == "text/event-stream" and plain


async def _close(response: httpx2.Response) -> None:
    """Ends the connection unless it was read to its end; what goes wrong in doing so concerns nobody."""
    with suppress(Exception):
        await response.aclose()


def _noted(error: errors.ProviderError, status: int | None = None) -> errors.ProviderError:
    recent_errors.record(error, status)
    return error


def _request_id(response: httpx2.Response) -> str:
    """The provider's id of the request, fit for a log line."""
    given = response.headers.get("x-request-id", "")
    return "".join(character for character in given if character.isprintable())[:REQUEST_ID_LENGTH]
