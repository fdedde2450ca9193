"""Refuse requests whose body is too large, too slow, or of unclear length."""

from __future__ import annotations

import asyncio
from typing import Any

MAX_BODY_BYTES = 1_048_576
BODY_TIMEOUT = 60
"""Seconds for a whole body to arrive; daphne has the same limit of its own."""
TOO_LARGE = b"The request is too large.\n"
TOO_SLOW = b"The request did not arrive in time.\n"
TWO_LENGTHS = b"The request has two lengths.\n"
_HEADERS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"connection", b"close"),
)


class _BodyTooLarge(Exception):
    pass


class _BodyTooSlow(Exception):
    pass


class RequestBodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes`, 408 for one that takes over `timeout` seconds.

    For servers that pass the body on while it arrives, such as uvicorn; for daphne see `daphne_body_limit`. Also 400
    for a request with both Content-Length and Transfer-Encoding: two servers in a row may each believe another one.
    """

    def __init__(self, app: Any, *, max_bytes: int = MAX_BODY_BYTES, timeout: float = BODY_TIMEOUT) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout = timeout

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        names = {name for name, _value in scope["headers"]}
        if {b"content-length", b"transfer-encoding"} <= names:
            await _refuse(send, 400, TWO_LENGTHS)
            return
        if _content_length(scope["headers"]) > self.max_bytes:
            await _refuse(send, 413, TOO_LARGE)
            return
        received, complete, started = 0, False, False
        deadline = asyncio.get_running_loop().time() + self.timeout

        async def receive_limited() -> Any:
            nonlocal received, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _BodyTooSlow from None
            complete = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise _BodyTooLarge
            return message

        async def send_and_note_start(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive_limited, send_and_note_start)
        except _BodyTooLarge:
            if not started:
                await _refuse(send, 413, TOO_LARGE)
        except _BodyTooSlow:
            if not started:
                await _refuse(send, 408, TOO_SLOW)


def refusal_headers(body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a refusal that Django never sees; the security headers are those of every page."""
    return [*_HEADERS, (b"content-length", str(len(body)).encode())]


def _content_length(headers: Any) -> int:
    value = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(value) if value.isdigit() and len(value) < 20 else 0


async def _refuse(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": refusal_headers(body)})
    await send({"type": "http.response.body", "body": body})
