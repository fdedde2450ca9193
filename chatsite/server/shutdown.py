"""Save what runs before the server stops."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import partial
from types import FrameType
from typing import Any

from django.utils import autoreload

READERS_TIMEOUT = 1
"""Seconds for open streams to send their last frame after `stop` has returned."""
CANCEL_TIMEOUT = 2
"""Seconds for open requests to end after they were cancelled."""
RELOAD_TIMEOUT = 8
"""Seconds that the reloader's thread waits for the whole shutdown."""


class GracefulShutdown:
    """The outermost ASGI application: it stops the site before the server stops.

    At its first call it calls `start` and replaces the handlers of SIGTERM and SIGINT. A signal then awaits `stop`
    (end the generations, save them), lets readers receive their last frame, cancels what is still open, awaits
    `close`, and calls the handler that was replaced. A second signal calls that handler at once.

    In a thread that cannot receive signals (`runserver` with its reloader) a changed file shuts down, and the end of
    the process calls `save_at_exit`. If the reloader is killed from outside, its child gets no time; the next start
    recovers the answers from their checkpoints.
    """

    def __init__(
        self,
        app: Any,
        *,
        start: Callable[[], None],
        stop: Callable[[], Awaitable[None]],
        close: Callable[[], Awaitable[None]],
        save_at_exit: Callable[[], None],
    ) -> None:
        self.app = app
        self.closing = False
        self._start = start
        self._stop = stop
        self._close = close
        self._save_at_exit = save_at_exit
        self._open_requests: set[asyncio.Task[Any]] = set()
        self._shutdown_tasks: set[asyncio.Task[Any]] = set()  # the event loop holds tasks by weak references
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._install()
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if task := asyncio.current_task():
            self._open_requests.add(task)
            task.add_done_callback(self._open_requests.discard)
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.closing:
                raise

    async def shut_down(self) -> None:
        """Stop the site, end the open requests, close what the process holds. Takes at most about 8 seconds."""
        self.closing = True
        await self._stop()
        if self._open_requests:
            await asyncio.wait(self._open_requests, timeout=READERS_TIMEOUT)
        for task in list(self._open_requests):
            task.cancel()
        if self._open_requests:
            await asyncio.wait(self._open_requests, timeout=CANCEL_TIMEOUT)
        await self._close()

    def _install(self) -> None:
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._start()
        if threading.current_thread() is not threading.main_thread():
            # Private, read in Django 5.2.19 and 6.1.3: the reloader's signal, sent in its own thread just before it
            # ends the process.
            autoreload.file_changed.connect(self._on_file_changed)
            atexit.register(self._save_at_exit)
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._on_signal, signal.getsignal(number)))

    def _on_file_changed(self, **_kwargs: Any) -> None:
        if self._loop is not None and not self.closing:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self.shut_down(), self._loop).result(RELOAD_TIMEOUT)

    def _on_signal(self, previous: Any, number: int, frame: FrameType | None) -> None:
        if self.closing or self._loop is None or self._loop.is_closed():
            _call_handler(previous, number, frame)
            return
        self.closing = True
        create_task = partial(self._create_task, self._shut_down_and_call(previous, number, frame))
        # An empty context: the signal may have interrupted a request, whose context belongs to its own thread.
        self._loop.call_soon_threadsafe(create_task, context=Context())

    def _create_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._shutdown_tasks.add(task)
        task.add_done_callback(self._shutdown_tasks.discard)

    async def _shut_down_and_call(self, previous: Any, number: int, frame: FrameType | None) -> None:
        try:
            await self.shut_down()
        finally:
            _call_handler(previous, number, frame)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if not self.closing:
                    with contextlib.suppress(Exception):  # the server stops in any case
                        await self.shut_down()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _call_handler(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
