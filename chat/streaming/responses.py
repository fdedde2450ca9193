"""Streaming responses: what every stream has in common, whatever its protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

from django.http import StreamingHttpResponse

from chat.events import LAST_EVENTS, Failed, LogEvent
from chat.streaming.encoders import Encoder
from chat.streaming.reader import Events

HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}


class IncompleteAnswer(Exception):
    """Raised in a body whose protocol can say only by an aborted connection that the answer is not whole."""


def streaming_response(
    body: AsyncIterator[bytes], content_type: str, headers: Mapping[str, str] | None = None
) -> StreamingHttpResponse:
    """A response that neither proxies nor browsers buffer or keep."""
    response = StreamingHttpResponse(body, content_type=content_type)
    for name, value in {**HEADERS, **(headers or {})}.items():
        response.headers[name] = value
    return response


def encoded_response(
    events: Events,
    encoder: Encoder,
    *,
    first: Sequence[LogEvent] = (),
    finish: Callable[[LogEvent], Awaitable[bytes]] | None = None,
) -> StreamingHttpResponse:
    """The answer in the encoder's protocol."""
    body = encode_stream(events, encoder, first=first, finish=finish)
    return streaming_response(body, encoder.content_type, encoder.headers)


async def encode_stream(
    events: Events,
    encoder: Encoder,
    *,
    first: Sequence[LogEvent] = (),
    finish: Callable[[LogEvent], Awaitable[bytes]] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The bytes of a stream: the events that were read already, those that come, and what `finish` makes of the last.

    However the log ends, the client can tell its end from that of a whole answer. Raises `IncompleteAnswer` where the
    protocol has no other way.
    """
    last = first[-1] if first else None
    async with aclosing(events):
        if data := encoder.open() + (encoder.encode(first) if first else b""):
            yield data
        async for batch in events:
            if data := encoder.encode(batch) or (b"" if batch else encoder.heartbeat):
                yield data
            last = batch[-1] if batch else last
    if last is None or not isinstance(last, LAST_EVENTS):
        yield encoder.abort()
    elif finish and (data := await finish(last)):
        yield data
    if encoder.breaks_on_failure and not is_whole(last):
        raise IncompleteAnswer


def is_whole(last: LogEvent | None) -> bool:
    """Whether a log with this last event holds a whole answer, however it ended."""
    return isinstance(last, LAST_EVENTS) and not isinstance(last, Failed)
