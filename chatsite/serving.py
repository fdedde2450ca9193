"""What stands between the ASGI server and Django."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import signal
import threading
from collections.abc import Coroutine
from contextvars import Context
from functools import partial
from types import FrameType
from typing import Any

from django.db import DatabaseError
from django.utils import autoreload

from chat import providers
from chat.answers.runner import current_runner, save_all
from chat.streaming.responses import IncompleteAnswer

logger = logging.getLogger(__name__)

SERVICE_RESTART = 1012


class Sockets:
    """The site's one WebSocket address; any other is refused without a word in the log."""

    def __init__(self, path: str, consumer: Any) -> None:
        self.path = path
        self.consumer = consumer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == self.path:
            await self.consumer(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 4404})


class BreakOff:
    """Ends the connection where a streaming body raised after its first byte.

    A missing last chunk is how plain text says that the answer is not whole; daphne would
    leave the client waiting, and uvicorn write a traceback for each. A request that is cancelled before its first
    byte is told that the site restarts. `send` must be the server's own.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def noting(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except asyncio.CancelledError:
            if not started:
                await _say_restarting(scope, send)
            raise
        except Exception as error:
            if not started or not await _hang_up(receive, send):
                raise
            if not isinstance(error, IncompleteAnswer):
                logger.exception("a response broke in the middle")


async def _hang_up(receive: Any, send: Any) -> bool:
    """Ends the connection without a last chunk; False with a server that is not known here."""
    protocol = getattr(send, "args", (None,))[0]  # daphne: functools.partial(server.handle_reply, protocol)
    if channel := getattr(protocol, "channel", None):
        channel.loseConnection()
        return True
    cycle = getattr(send, "__self__", None)  # uvicorn: a method of the request's cycle
    if transport := getattr(cycle, "transport", None):
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False


class Drain:
    """Saves what runs before the server stops, whatever the server does with the signal.

    Takes over SIGTERM and SIGINT at its first call, ends the generations, lets viewers
    receive their last frame, then calls the handler it found. A second signal forces.
    Where the server runs in a thread without signals (`runserver` with its reloader),
    a changed file drains, and the end of the process saves. (Ended from outside, the
    reloader kills its child at once: then the next start recovers the checkpoints.)
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.closing = False
        self._open: set[asyncio.Task[Any]] = set()
        self._keep: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._install()
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if task := asyncio.current_task():
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.closing:
                raise

    def _install(self) -> None:
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        current_runner().start_background()
        if threading.current_thread() is not threading.main_thread():
            autoreload.file_changed.connect(self._on_file_changed)
            atexit.register(_save_at_exit)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._on_signal, signal.getsignal(number)))

    def _on_file_changed(self, **_kwargs: Any) -> None:
        """Called in the reloader's thread just before it ends the process."""
        if self._loop is not None and not self.closing:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self.drain(), self._loop).result(8)

    def _on_signal(self, previous: Any, number: int, frame: FrameType | None) -> None:
        if self.closing or self._loop is None:
            _call(previous, number, frame)
            return
        self.closing = True
        # A context of its own: the signal may have come in the middle of a request, whose thread is taken.
        start = partial(self._start, self._close(previous, number, frame))
        self._loop.call_soon_threadsafe(start, context=Context())

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._keep.add(task)
        task.add_done_callback(self._keep.discard)

    async def _close(self, previous: Any, number: int, frame: FrameType | None) -> None:
        try:
            await self.drain()
        finally:
            _call(previous, number, frame)

    async def drain(self) -> None:
        self.closing = True
        await current_runner().drain(5)
        if self._open:
            await asyncio.wait(self._open, timeout=1)
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(self._open, timeout=2)
        await providers.close()

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if not self.closing:
                    with contextlib.suppress(Exception):
                        await self.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _say_restarting(scope: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"5"), (b"connection", b"close")]
    messages = {
        "http": (
            {"type": "http.response.start", "status": 503, "headers": headers},
            {"type": "http.response.body", "body": b"The site is restarting.\n"},
        ),
        "websocket": ({"type": "websocket.close", "code": SERVICE_RESTART},),
    }
    with contextlib.suppress(Exception):
        for message in messages[scope["type"]]:
            await send(message)


def _save_at_exit() -> None:
    with contextlib.suppress(DatabaseError):
        save_all()


def _call(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
