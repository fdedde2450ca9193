"""End the connection of a response that failed after its first byte."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

logger = logging.getLogger(__name__)

SERVICE_RESTART = 1012
"""WebSocket close code of RFC 6455's registry; clients reconnect after it."""


class AbortBrokenResponses:
    """ASGI middleware that closes the connection, without a last chunk, where a streaming body raised.

    A missing last chunk is how a plain-text stream tells its client that the answer is incomplete. Left to itself,
    daphne keeps such a client waiting, and uvicorn logs a traceback for each. A request that is cancelled before
    its first byte is answered with 503, a WebSocket with close code 1012.

    Exceptions of the types in `expected` are not logged. The `send` it is called with must be the server's own:
    no other middleware may stand outside of it that replaces `send`.
    """

    def __init__(self, app: Any, *, expected: tuple[type[Exception], ...] = ()) -> None:
        self.app = app
        self.expected = expected

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def send_and_note_start(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_start)
        except asyncio.CancelledError:
            if not started:
                await _refuse_restarting(scope, send)
            raise
        except Exception as error:
            if not started or not await _close_connection(receive, send):
                raise
            if not isinstance(error, self.expected):
                logger.exception("A response failed after its first byte.")


async def _close_connection(receive: Any, send: Any) -> bool:
    """Close the connection without a last chunk; False if the server is neither daphne nor uvicorn."""
    # Private, read in daphne 4.2.3: `send` is functools.partial(server.handle_reply, protocol), and
    # protocol.channel is Twisted's HTTP channel.
    protocol = getattr(send, "args", (None,))[0]
    if channel := getattr(protocol, "channel", None):
        channel.loseConnection()
        return True
    # Private, read in uvicorn 0.54.0: `send` is a method of RequestResponseCycle, which has the transport.
    cycle = getattr(send, "__self__", None)
    if transport := getattr(cycle, "transport", None):
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False


async def _refuse_restarting(scope: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"5"), (b"connection", b"close")]
    messages = {
        "http": (
            {"type": "http.response.start", "status": 503, "headers": headers},
            {"type": "http.response.body", "body": b"The site is restarting.\n"},
        ),
        "websocket": ({"type": "websocket.close", "code": SERVICE_RESTART},),
    }
    with contextlib.suppress(Exception):  # the connection may be gone
        for message in messages[scope["type"]]:
            await send(message)
