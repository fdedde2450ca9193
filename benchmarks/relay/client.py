"""Clients that send a message and read its answer over plain sockets.

Each received piece is kept with the moment it arrived; it is parsed after the measurement, so that the client
uses little of the core that it shares with the provider.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

TOKEN = re.compile(rb"(\d{12}):(\d{4})(?!\d)")
COOKIE = re.compile(rb"set-cookie: (csrftoken=[^;]+)", re.IGNORECASE)
CSRF_TOKEN = re.compile(rb'csrfmiddlewaretoken" value="([^"]+)"')
CONVERSATION = re.compile(rb"/c/([0-9a-f-]{36})/")
ANSWER = re.compile(rb'id="m-([0-9a-f-]{36})" data-role="assistant"')

Protocol = Literal["text", "ui", "html", "sse"]


@dataclass(kw_only=True)
class User:
    """An account's API key and session; `cookies` and `csrf_token` are set by `open_page`."""

    key: str
    session: str
    cookies: str = ""
    csrf_token: str = ""


@dataclass(kw_only=True)
class Stream:
    """One answer as it was received. Times are seconds of the monotonic clock.

    `responded` is when the response to the form arrived (html) or the first bytes (all others);
    `pieces` are the bytes with their time of arrival.
    """

    requested: float = 0.0
    responded: float = 0.0
    complete: bool = False
    conversation: str = ""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    def tokens(self) -> list[tuple[float, float]]:
        """For each token when it was sent and when it was received. Raises AssertionError if one is missing."""
        data = b"".join(piece for _, piece in self.pieces)
        ends, position = [], 0
        for moment, piece in self.pieces:
            position += len(piece)
            ends.append((position, moment))
        found: list[tuple[float, float]] = []
        index = 0
        for match in TOKEN.finditer(data):
            while ends[index][0] < match.end():
                index += 1
            number = int(match[2])
            if number == len(found):
                found.append((int(match[1]) / 1e6, ends[index][1]))
            else:
                # The final HTML of an answer repeats all of its tokens.
                assert number < len(found), f"token {len(found)} is missing"
        return found


class StreamReader(asyncio.Protocol):
    """Sends one request and adds what comes back to `stream`; `closed` is done when the connection is closed."""

    def __init__(self, stream: Stream, request: bytes) -> None:
        self.stream, self.request = stream, request
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.stream.requested = self.stream.requested or time.monotonic()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.stream.pieces.append((time.monotonic(), data))
        if data.endswith(b"0\r\n\r\n"):
            self.stream.complete = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def read_answer(
    url: str,
    protocol: Protocol,
    prompt: str,
    user: User | None,
    *,
    conversation: str = "",
    leave_after: float = 0.0,
    stream_url: str = "",
) -> Stream:
    """Send a message and read the answer to its end, or leave after `leave_after` seconds.

    For html, `conversation` makes it a follow-up message, and `stream_url` names the server process that the
    stream is read from, if it is another one than that of `url`.
    """
    parts = urlsplit(url)
    stream = Stream(conversation=conversation)
    if protocol == "html" and user:
        request = await _send_form(parts.port or 80, prompt, user, stream)
    else:
        request = _api_request(f"{parts.path}?{parts.query}", protocol, prompt, user)
    reader = StreamReader(stream, request)
    if protocol == "html" and stream_url:
        parts = urlsplit(stream_url)
    await asyncio.get_running_loop().create_connection(lambda: reader, parts.hostname, parts.port)
    if leave_after:
        await asyncio.wait({reader.closed}, timeout=leave_after)
        reader.transport.abort()
    await reader.closed
    if not stream.responded and stream.pieces:
        stream.responded = stream.pieces[0][0]
    return stream


async def open_page(url: str, user: User) -> None:
    """Load the start page, as a browser does before it sends a message, and keep its cookies and CSRF token."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    session = f"sessionid={user.session}"
    head, page = await _exchange(reader, writer, f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {session}\r\n\r\n")
    writer.close()
    cookie, token = COOKIE.search(head), CSRF_TOKEN.search(page)
    assert cookie, head
    assert token, head
    user.cookies, user.csrf_token = f"{session}; {cookie[1].decode()}", token[1].decode()


def _api_request(path: str, protocol: Protocol, prompt: str, user: User | None) -> bytes:
    if protocol == "ui":
        message = f'{{"id":"m","role":"user","parts":[{{"type":"text","text":"{prompt}"}}]}}'
        body = f'{{"id":"{uuid.uuid4()}","messages":[{message}],"trigger":"submit-message"}}'
    else:
        body = f'{{"messages":[{{"role":"user","content":"{prompt}"}}]}}'
    authorization = f"Authorization: Bearer {user.key}\r\n" if user else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def _send_form(port: int, prompt: str, user: User, stream: Stream) -> bytes:
    """Send the form of the page, as htmx does; return the request for the stream of the answer."""
    path = f"/c/{stream.conversation}/messages/" if stream.conversation else "/c/"
    body = f"prompt={prompt}&client_key={uuid.uuid4()}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stream.requested = time.monotonic()
    head, fragments = await _exchange(
        reader,
        writer,
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\nX-CSRFToken: {user.csrf_token}\r\n"
        f"Cookie: {user.cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}",
    )
    stream.responded = time.monotonic()
    writer.close()
    answer, conversation = ANSWER.search(fragments), CONVERSATION.search(head + fragments)
    assert answer, head + fragments[:500]
    assert conversation, head + fragments[:500]
    stream.conversation = conversation[1].decode()
    path = f"/m/{answer[1].decode()}/stream/"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {user.cookies}\r\nLast-Event-ID: 0\r\n\r\n".encode()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> tuple[bytes, bytes]:
    """The head and the body of a response that says its length."""
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length, head
    return head, await reader.readexactly(int(length[1]))
