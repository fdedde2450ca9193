"""Requests with more than a megabyte of body, two lengths, or a body that never ends are turned away."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

LIMIT = 1_048_576
PATIENCE = 60
"""Seconds for a whole body to arrive; daphne has the same by itself."""
_TOO_LARGE = b"The request is too large.\n"
_TOO_SLOW = b"The request did not arrive in time.\n"
_TWO_LENGTHS = b"The request has two lengths.\n"
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


class TooLong(Exception):
    pass


class TooSlow(Exception):
    pass


class BodyLimit:
    """For servers that hand the body over as it comes, such as uvicorn."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        names = {name for name, _value in scope["headers"]}
        if {b"content-length", b"transfer-encoding"} <= names:  # two servers in a row may each believe another one
            await _refuse(send, 400, _TWO_LENGTHS)
            return
        if _announced(scope["headers"]) > LIMIT:
            await _refuse(send, 413, _TOO_LARGE)
            return
        received, whole, started = 0, False, False
        deadline = asyncio.get_running_loop().time() + PATIENCE

        async def counting() -> Any:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise TooSlow from None
            whole = not message.get("more_body", False)
            received += len(message.get("body", b""))
            if received > LIMIT:
                raise TooLong
            return message

        async def noting(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, counting, noting)
        except TooLong:
            if not started:
                await _refuse(send, 413, _TOO_LARGE)
        except TooSlow:
            if not started:
                await _refuse(send, 408, _TOO_SLOW)


def _announced(headers: Any) -> int:
    value = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(value) if value.isdigit() and len(value) < 20 else 0


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [*_HEADERS, (b"content-length", str(len(body)).encode())]


async def _refuse(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers(body)})
    await send({"type": "http.response.body", "body": body})


def limit_daphne() -> None:
    """daphne spools a whole body to disk before it calls us; this refuses it at the socket."""
    if "daphne.http_protocol" not in sys.modules:
        return
    from daphne import http_protocol

    class BoundedRequest(http_protocol.WebRequest):
        _received = 0
        _refused = False

        def gotLength(self, length: int | None) -> None:
            super().gotLength(length)
            if length is not None and length > LIMIT:
                self._turn_away()

        def handleContentChunk(self, data: bytes) -> None:
            self._received += len(data)
            if self._received > LIMIT:
                self._turn_away()
            if not self._refused:
                super().handleContentChunk(data)

        def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
            if not self._refused:
                super().requestReceived(command, path, version)

        def _turn_away(self) -> None:
            if self._refused:
                return
            self._refused = True
            headers = (b"%b: %b" % pair for pair in _headers(_TOO_LARGE))
            lines = [b"HTTP/1.1 413 Content Too Large", *headers, b"", _TOO_LARGE]
            self.channel.transport.write(b"\r\n".join(lines))
            self.channel.loseConnection()

    http_protocol.WebRequest = BoundedRequest


@sync_and_async_middleware
def whole_forms(get_response: Any) -> Any:
    """Refuses a multipart form whose end is missing: Django would take half a text for a whole one."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            _check_form(request)
            response: HttpResponseBase = await get_response(request)
            return response

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        _check_form(request)
        response: HttpResponseBase = get_response(request)
        return response

    return synchronous


def _check_form(request: HttpRequest) -> None:
    if request.content_type != "multipart/form-data":
        return
    boundary = (request.content_params or {}).get("boundary", "")
    if not boundary or not request.body.rstrip().endswith(f"--{boundary}--".encode("latin-1", "replace")):
        raise BadRequest("The form is cut off.")
