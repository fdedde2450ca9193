"""People who read answers: raw sockets, every piece with the moment it came, judged when all is over."""

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


@dataclass(kw_only=True)
class Stream:
    """One answer as it came: `pieces` with their arrival in monotonic seconds."""

    asked: float = 0.0
    ended: float = 0.0
    whole: bool = False
    pieces: list[tuple[float, bytes]] = field(default_factory=list)

    def tokens(self) -> list[tuple[float, float]]:
        """Sent and received, in seconds, by number. Raises AssertionError where one is missing or out of order."""
        data = b"".join(piece for _, piece in self.pieces)
        ends, position = [], 0
        for moment, piece in self.pieces:
            position += len(piece)
            ends.append((position, moment))
        found: list[tuple[float, float]] = []
        at = 0
        for match in TOKEN.finditer(data):
            while ends[at][0] < match.end():
                at += 1
            number = int(match[2])
            if number == len(found):
                found.append((int(match[1]) / 1e6, ends[at][1]))
            else:
                assert number < len(found), f"token {len(found)} is missing"
        return found


class Reader(asyncio.Protocol):
    def __init__(self, stream: Stream, request: bytes) -> None:
        self.stream, self.request = stream, request
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.stream.asked = self.stream.asked or time.monotonic()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.stream.pieces.append((time.monotonic(), data))
        if data.endswith(b"0\r\n\r\n"):
            self.stream.whole = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stream.ended = time.monotonic()
        if not self.over.done():
            self.over.set_result(None)


@dataclass(kw_only=True)
class Person:
    """`cookies` and `token` are what the page gave a browser."""

    key: str
    session: str
    cookies: str = ""
    token: str = ""


Protocol = Literal["text", "ui", "html", "sse"]


async def read(
    url: str, protocol: Protocol, question: str, person: Person | None, leaving: float = 0.0, stream_at: str = ""
) -> Stream:
    """Asks and reads to the end, or for `leaving` seconds. A page may find its stream at another process."""
    parts = urlsplit(url)
    stream = Stream()
    if protocol == "html" and person:
        request = await _send_as_a_page(parts.port or 80, question, person, stream)
    else:
        request = _posted(f"{parts.path}?{parts.query}", protocol, question, person)
    reader = Reader(stream, request)
    if protocol == "html" and stream_at:
        parts = urlsplit(stream_at)
    await asyncio.get_running_loop().create_connection(lambda: reader, parts.hostname, parts.port)
    if leaving:
        await asyncio.wait({reader.over}, timeout=leaving)
        reader.transport.abort()
    await reader.over
    return stream


def _posted(path: str, protocol: Protocol, question: str, person: Person | None) -> bytes:
    if protocol == "ui":
        message = f'{{"id":"m","role":"user","parts":[{{"type":"text","text":"{question}"}}]}}'
        body = f'{{"id":"{uuid.uuid4()}","messages":[{message}],"trigger":"submit-message"}}'
    else:
        body = f'{{"messages":[{{"role":"user","content":"{question}"}}]}}'
    who = f"Authorization: Bearer {person.key}\r\n" if person else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{who}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def open_page(url: str, person: Person) -> None:
    """What a browser did before anybody asks anything."""
    near, far = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    cookie = f"sessionid={person.session}"
    head, page = await _exchange(near, far, f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n")
    far.close()
    given, token = COOKIE.search(head), re.search(rb'csrfmiddlewaretoken" value="([^"]+)"', page)
    assert given
    assert token
    person.cookies, person.token = f"{cookie}; {given[1].decode()}", token[1].decode()


async def _send_as_a_page(port: int, question: str, person: Person, stream: Stream) -> bytes:
    """Sends the form; returns the request for the stream it is answered with."""
    near, far = await asyncio.open_connection("127.0.0.1", port)
    body = f"prompt={question}&client_key={uuid.uuid4()}"
    stream.asked = time.monotonic()
    _head, fragments = await _exchange(
        near,
        far,
        f"POST /c/ HTTP/1.1\r\nHost: localhost\r\nHX-Request: true\r\nX-CSRFToken: {person.token}\r\n"
        f"Cookie: {person.cookies}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}",
    )
    far.close()
    answer = re.search(rb'id="m-([0-9a-f-]{36})" data-role="assistant"', fragments)
    assert answer, fragments[:500]
    path = f"/m/{answer[1].decode()}/stream/"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {person.cookies}\r\nLast-Event-ID: 0\r\n\r\n".encode()


async def _exchange(near: asyncio.StreamReader, far: asyncio.StreamWriter, request: str) -> tuple[bytes, bytes]:
    far.write(request.encode())
    head = await near.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    assert length, head
    return head, await near.readexactly(int(length[1]))
