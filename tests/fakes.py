"""A fake provider: an HTTP server on a real socket, in its own thread, that answers with scripts.

    with FakeProvider() as server:
        server.enqueue(text("Hel", "lo"), error(429, headers={"Retry-After": "1"}))
        ... OPENAI_BASE_URL=server.url ...
        server.history[0]["json"]["messages"]

A request takes the next script. When there is none, `server.default` makes one: it repeats
the last user message word by word, with usage. A script is a list of steps.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest

SSE = {"Content-Type": "text/event-stream; charset=utf-8"}
DONE = b"data: [DONE]\n\n"


# Steps


@dataclass(frozen=True)
class Send:
    data: bytes


@dataclass(frozen=True)
class Sleep:
    seconds: float


@dataclass(frozen=True)
class Repeat:
    """Sends the same bytes repeatedly, one copy each `interval` seconds; without `times` forever."""

    data: bytes
    interval: float = 0.0
    times: int | None = None


@dataclass(frozen=True)
class Pace:
    """Sends the pieces in order, one each `interval` seconds; a generator is advanced when a piece is due."""

    pieces: Iterable[bytes]
    interval: float


class Hang:
    """Sends nothing more until the client disconnects."""


class Reset:
    """Cuts the connection with a TCP reset."""


class Close:
    """Ends the connection without ending the chunked body."""


class Gate:
    """Holds every stream that reaches it until the test calls `open`; `reached` counts them."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._arrived = threading.Semaphore(0)
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._lock = threading.Lock()
        self.reached = 0

    def open(self) -> None:
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            loop.call_soon_threadsafe(lambda future=future: future.done() or future.set_result(None))

    def wait_until_reached(self, times: int = 1, timeout: float = 10.0) -> None:
        for _ in range(times):
            assert self._arrived.acquire(timeout=timeout), "no stream reached the gate"

    async def _hold(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            self.reached += 1
            future = loop.create_future()
            if self._event.is_set():
                future.set_result(None)
            else:
                self._waiting.append((loop, future))
        self._arrived.release()
        await future


Step = Send | Sleep | Repeat | Pace | Hang | Reset | Close | Gate


@dataclass
class Script:
    """An answer. `head` replaces the status line and the headers.

    With a `length` the body has that many bytes, else it is chunked.
    """

    steps: Iterable[Step]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(SSE))
    head: bytes | None = None
    length: int | None = None
    before_head: tuple[Step, ...] = ()

    def head_bytes(self) -> bytes:
        if self.head is not None:
            return self.head
        framing = "Transfer-Encoding: chunked" if self.length is None else f"Content-Length: {self.length}"
        lines = [f"HTTP/1.1 {self.status} Fake", *(f"{name}: {value}" for name, value in self.headers.items()), framing]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


# Chunks of the wire format


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chunk(content: str | None = None, *, finish: str | None = None, **delta: object) -> bytes:
    """One chunk with one choice; further keywords go into its delta."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice]})


def usage_chunk(prompt: int = 10, completion: int = 5, **more: object) -> bytes:
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
        **more,
    }
    return event({"id": "c1", "object": "chat.completion.chunk", "model": "fake", "choices": [], "usage": usage})


# Scripts


def text(
    *tokens: str,
    finish: str | None = "stop",
    usage: tuple[int, int] | None = (10, 5),
    delay: float = 0.0,
    reasoning: Iterable[str] = (),
    done: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Script:
    """A complete answer. `usage` is prompt and completion tokens; None sends none."""
    pause: list[Step] = [Sleep(delay)] if delay else []
    steps: list[Step] = [Send(chunk("", role="assistant"))]
    for thought in reasoning:
        steps += [*pause, Send(chunk(reasoning_content=thought))]
    for token in tokens:
        steps += [*pause, Send(chunk(token))]
    if finish is not None:
        steps.append(Send(chunk(finish=finish)))
    if usage is not None:
        steps.append(Send(usage_chunk(*usage)))
    if done:
        steps.append(Send(DONE))
    return Script(steps, headers={**SSE, "x-request-id": "req-fake", **(headers or {})})


def tokens(count: int, interval: float = 0.0, word: str = "word{} ", usage: bool = True) -> Script:
    """`count` tokens, one each `interval` seconds, numbered from 0 by `word`."""
    said = Pace([chunk(word.format(number)) for number in range(count)], interval)
    end = [chunk(finish="stop"), usage_chunk(10, count), DONE] if usage else [chunk(finish="stop"), DONE]
    return Script([said, Send(b"".join(end))])


def gated(gate: Gate, *, before: Iterable[str] = ("first ",), after: Iterable[str] = ("last",)) -> Script:
    """Sends `before`, waits for the gate, sends `after` and the regular end."""
    said = [Send(chunk(token)) for token in before]
    then = [Send(chunk(token)) for token in after]
    return Script([*said, gate, *then, Send(chunk(finish="stop")), Send(usage_chunk()), Send(DONE)])


def error(
    status: int,
    *,
    code: str | None = None,
    message: str = "provider wording",
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Script:
    value = {"error": {"message": message, "type": code, "code": code, "param": param}}
    data = json.dumps(value).encode() if body is None else body
    return Script(
        [Send(data)],
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        length=len(data),
    )


def stream(*steps: Step | bytes | str | float, headers: Mapping[str, str] | None = None) -> Script:
    """A success with this body: bytes are sent unchanged, text as a chunk; numbers are pauses in seconds."""
    return Script([_step(step) for step in steps], headers=SSE if headers is None else headers)


def raw(data: bytes, *steps: Step | bytes) -> Script:
    """Bytes in place of a whole HTTP response with its head; closes afterwards."""
    return Script([*(_step(step) for step in steps), Close()], head=data)


def hang() -> Script:
    """Accepts the request and never answers."""
    return Script([], before_head=(Hang(),))


def hang_after_headers() -> Script:
    return stream(Hang())


def reset() -> Script:
    """Resets the connection before the first byte."""
    return Script([], before_head=(Reset(),))


def reset_after(*tokens: str) -> Script:
    return stream(*tokens, Reset())


def close_after(*tokens: str) -> Script:
    """Ends the connection in the middle of the body."""
    return stream(*tokens, Close())


def bytes_apart(data: bytes, size: int = 1, pause: float = 0.0) -> list[Step]:
    """The bytes in pieces of `size`, each in its own HTTP chunk."""
    steps: list[Step] = []
    for start in range(0, len(data), size):
        steps.append(Send(data[start : start + size]))
        if pause:
            steps.append(Sleep(pause))
    return steps


def _step(value: Step | bytes | str | float) -> Step:
    if isinstance(value, bytes):
        return Send(value)
    if isinstance(value, str):
        return Send(chunk(value))
    if isinstance(value, int | float):
        return Sleep(value)
    return value


def echo(request: dict[str, Any]) -> Script:
    """The words of the last user message, with usage."""
    if request["path"].endswith("/models"):
        data = json.dumps({"object": "list", "data": [{"id": "fake", "object": "model"}]}).encode()
        return Script([Send(data)], headers={"Content-Type": "application/json"}, length=len(data))
    turns = (request["json"] or {}).get("messages") or [{"role": "user", "content": ""}]
    question = next((turn["content"] for turn in reversed(turns) if turn["role"] == "user"), "")
    words = [word + " " for word in str(question).split()] or ["(nothing)"]
    return text(*words, usage=(sum(len(str(turn["content"]).split()) for turn in turns) + 3, len(words)))


# The server


class FakeProvider:
    """`history` holds one dictionary per request: method, path, headers (lower-case names), body,
    json, at, sent (bytes), left (a threading.Event set when the client or the script closed the
    connection) and left_at (monotonic seconds).
    """

    def __init__(self, default: Callable[[dict[str, Any]], Script] = echo) -> None:
        self.default = default
        self.history: list[dict[str, Any]] = []
        self.port = 0
        self._scripts: deque[Script | Callable[[dict[str, Any]], Script]] = deque()
        self._loop = asyncio.new_event_loop()
        self._connections: set[_Connection] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-provider", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def enqueue(self, *scripts: Script | Callable[[dict[str, Any]], Script]) -> None:
        self._scripts.extend(scripts)

    def always(self, script: Script) -> None:
        """Answers every further request with this script."""
        self.default = lambda request: script

    def chats(self) -> list[dict[str, Any]]:
        """The requests for completions alone."""
        return [request for request in self.history if request["path"].endswith("/chat/completions")]

    def __enter__(self) -> FakeProvider:
        self._thread.start()
        assert self._ready.wait(10), "the fake server did not start"
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def next_script(self, request: dict[str, Any]) -> Script:
        try:
            script = self._scripts.popleft()
        except IndexError:
            script = self.default
        return script(request) if callable(script) else script

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.remove_reader(server.sockets[0])
        self._loop.run_until_complete(self._close_connections())
        server.close()  # not earlier: a connection accepted meanwhile would have no server and stay open
        self._loop.close()

    async def _close_connections(self) -> None:
        for connection in tuple(self._connections):
            connection.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(5):  # a connection that is just being accepted closes some turns of the loop later
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: FakeProvider) -> None:
        self._server = server
        self._received = bytearray()
        self._request: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._chunked = True
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._server._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self)
        if self._task:
            self._task.cancel()
        if self._request is not None:
            self._request["left_at"] = time.monotonic()
            self._request["left"].set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def abort(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._task is None and (request := self._parsed()):
            self._request = request
            self._server.history.append(request)
            self._task = asyncio.get_running_loop().create_task(self._play(request))

    def _parsed(self) -> dict[str, Any] | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(self._received) < end + 4 + length:
            return None
        body = bytes(self._received[end + 4 : end + 4 + length])
        del self._received[: end + 4 + length]
        method, path, _ = first.split(" ", 2)
        return {
            "method": method,
            "path": path,
            "headers": headers,
            "body": body,
            "json": json.loads(body) if body else None,
            "at": time.monotonic(),
            "sent": 0,
            "left": threading.Event(),
            "left_at": None,
        }

    async def _play(self, request: dict[str, Any]) -> None:
        script = self._server.next_script(request)
        for step in script.before_head:
            await self._do(step, plain=True)
        self._write(script.head_bytes())
        plain = script.length is not None or script.head is not None
        for step in script.steps:
            await self._do(step, plain)
            if self.transport.is_closing():
                return
        if script.length is None and script.head is None:
            self._write(b"0\r\n\r\n")
        self._task = None
        if self._received:
            self.data_received(b"")

    async def _do(self, step: Step, plain: bool) -> None:
        match step:
            case Send(data=data):
                await self._send(data, plain)
            case Sleep(seconds=seconds):
                await asyncio.sleep(seconds)
            case Repeat(data=data, interval=interval, times=times):
                await self._pace(repeat(data) if times is None else repeat(data, times), interval, plain)
            case Pace(pieces=pieces, interval=interval):
                await self._pace(pieces, interval, plain)
            case Gate():
                await step._hold()
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                linger = struct.pack("ii", 1, 0)
                self.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
                self.transport.abort()
            case Close():
                self.transport.close()

    async def _pace(self, pieces: Iterable[bytes], interval: float, plain: bool) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        for piece in pieces:
            due += interval
            await self._send(piece, plain)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _send(self, data: bytes, plain: bool) -> None:
        if data:  # an empty chunk would end a chunked body
            self._write(data if plain else b"%x\r\n%b\r\n" % (len(data), data))
        if not self._room.is_set():
            await self._room.wait()

    def _write(self, data: bytes) -> None:
        if self._request is not None:
            self._request["sent"] += len(data)
        self.transport.write(data)


@pytest.fixture
def fake_provider(settings: Any) -> Iterator[FakeProvider]:
    """A fake provider that the settings of this process point at."""
    with FakeProvider() as server:
        settings.OPENAI_BASE_URL = server.url
        settings.OPENAI_API_KEY = "test-key"
        yield server
