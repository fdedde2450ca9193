"""A provider that is never the bottleneck. The prompt says what it sends:

    paced:RATE:TOKENS    TOKENS tokens, RATE a second
    flood:TOKENS         TOKENS tokens, as fast as the client reads them
    delayed:MS:TOKENS    the same after MS milliseconds
    idle                 one token, and the end after a minute

A token holds the microsecond at which it was sent (monotonic clock) and its number; 25 tokens make a paragraph.
All paced answers use the rate of the command line: python -m benchmarks.relay.provider PORT RATE
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
COMMAND = re.compile(rb"(paced|flood|delayed|idle)(?::(\d+))?(?::(\d+))?")
DEFAULT_COMMAND = (b"flood", b"1", b"")
TOKEN = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":'
    b'[{"index":0,"delta":{"content":"%012d:%04d%b"},"finish_reason":null}]}\n\n'
)
END = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"bench","choices":[],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}\n\ndata: [DONE]\n\n'
)
PHASES = 16
"""Paced answers are spread over this many moments of each interval."""
FLOOD_BATCH = 100
PARAGRAPH_TOKENS = 25
IDLE_SECONDS = 60


def chunk(data: bytes) -> bytes:
    """`data` in HTTP's chunked transfer encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ProviderConnection(asyncio.Protocol):
    phases: tuple[set[ProviderConnection], ...] = tuple(set() for _ in range(PHASES))
    paced_answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""
        self.sent = self.count = 0
        self.phase: set[ProviderConnection] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase is not None:
            self.phase.discard(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not separator or (length and len(body) < int(length[1])):
            return
        self.received = b""
        # A conversation holds the prompts of earlier messages too: the last one counts.
        command = (COMMAND.findall(body) or [DEFAULT_COMMAND])[-1]
        self.transport.write(HEAD)
        self.start(*command)

    def start(self, kind: bytes, first: bytes, second: bytes) -> None:
        self.sent = 0
        if kind == b"paced":
            self.count = int(second)
            ProviderConnection.paced_answers += 1
            self.phase = ProviderConnection.phases[ProviderConnection.paced_answers % PHASES]
            self.phase.add(self)
        elif kind == b"flood":
            self.count = int(first)
            self.task = asyncio.create_task(self.flood())
        elif kind == b"delayed":
            self.count = int(second)
            self.task = asyncio.create_task(self.flood(int(first) / 1000))
        else:
            self.count = 1
            self.transport.write(self.token())
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self.end)

    def token(self) -> bytes:
        self.sent += 1
        space = b" " if self.sent % PARAGRAPH_TOKENS else rb"\n\n"
        return chunk(TOKEN % (time.monotonic_ns() // 1000, self.sent - 1, space))

    def tick(self) -> None:
        self.transport.write(self.token())
        if self.sent == self.count:
            self.end()

    def end(self) -> None:
        if self.phase is not None:
            self.phase.discard(self)
        self.transport.write(chunk(END % (self.count, self.count + 9)) + b"0\r\n\r\n")

    async def flood(self, delay: float = 0.0) -> None:
        if delay:
            await asyncio.sleep(delay)
        while self.sent < self.count and not self.transport.is_closing():
            await self.writable.wait()
            self.transport.write(b"".join(self.token() for _ in range(min(FLOOD_BATCH, self.count - self.sent))))
            await asyncio.sleep(0)
        self.end()


async def main(port: int, rate: int) -> None:
    await asyncio.get_running_loop().create_server(ProviderConnection, "127.0.0.1", port, backlog=2000)
    due = time.monotonic()
    while True:
        for phase in ProviderConnection.phases:
            for connection in list(phase):
                connection.tick()
            due += 1 / rate / PHASES
            await asyncio.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
