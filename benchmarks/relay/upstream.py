"""A model server that is never the limit. What it sends stands in the question: `paced:50:500`, `flood:2000`, `idle`.

`paced` sends so many tokens a second, so many in all; `flood` as fast as they are taken; `idle`
one token, and the end after a minute. A token holds the microsecond it was sent and its number; 25 of
them make a paragraph.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WISH = re.compile(rb"(paced|flood|idle):?(\d*):?(\d*)")
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
FLOOD = 100
PARAGRAPH = 25


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Model(asyncio.Protocol):
    open = 0
    phases: tuple[set[Model], ...] = tuple(set() for _ in range(PHASES))
    number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""
        self.sent = self.count = 0
        self.phase: set[Model] | None = None
        self.resumed = asyncio.Event()
        self.resumed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase is not None:
            self.phase.discard(self)

    def pause_writing(self) -> None:
        self.resumed.clear()

    def resume_writing(self) -> None:
        self.resumed.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not separator or (length and len(body) < int(length[1])):
            return
        self.received = b""
        wish = WISH.search(body)
        kind, first, second = wish.groups() if wish else (b"flood", b"1", b"")
        self.transport.write(HEAD)
        self.sent = 0
        if kind == b"paced":
            self.count = int(second)
            Model.number += 1
            self.phase = Model.phases[Model.number % PHASES]
            self.phase.add(self)
        elif kind == b"flood":
            self.count = int(first)
            asyncio.get_running_loop().create_task(self.flood())
        else:
            self.count = 1
            self.transport.write(self.token())
            asyncio.get_running_loop().call_later(60, self.end)

    def token(self) -> bytes:
        self.sent += 1
        space = b" " if self.sent % PARAGRAPH else rb"\n\n"
        return chunk(TOKEN % (time.monotonic_ns() // 1000, self.sent - 1, space))

    def tick(self) -> None:
        self.transport.write(self.token())
        if self.sent == self.count:
            self.end()

    def end(self) -> None:
        if self.phase is not None:
            self.phase.discard(self)
        self.transport.write(chunk(END % (self.count, self.count + 9)) + b"0\r\n\r\n")

    async def flood(self) -> None:
        while self.sent < self.count and not self.transport.is_closing():
            await self.resumed.wait()
            self.transport.write(b"".join(self.token() for _ in range(min(FLOOD, self.count - self.sent))))
            await asyncio.sleep(0)
        self.end()


async def main(port: int, rate: int) -> None:
    await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port, backlog=2000)
    due = time.monotonic()
    while True:
        for phase in Model.phases:
            for model in list(phase):
                model.tick()
            due += 1 / rate / PHASES
            await asyncio.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
