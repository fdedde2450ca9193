"""The threads that run the synchronous calls of requests, and how long a request may wait for one.

A request is assigned one of `MAX_THREADS` threads, and with it one database connection, at its first call, and all its
calls run there. Between its calls the thread serves other requests: a request holds no thread while its body is read,
while its response streams, or while Redis, a provider or another answer is awaited. It keeps the thread for itself
between two calls only where something on that thread is unfinished: a transaction that a call left open, or a
synchronous middleware (its own call waits in the thread for the inner response; one whose hooks run as separate calls
is announced by `keep=True`).

While all threads are taken, a request waits `MAX_WAIT` seconds in all, then its call raises `DatabaseThreadTimeout`.
The pool is for short calls: one that runs for seconds delays the requests that share its thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import Context
from functools import partial
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, Final

from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

from chat import errors

logger = logging.getLogger(__name__)

MAX_THREADS: Final = 12
"""Threads for requests. Each keeps its database connection open between calls."""
MAX_WAIT: Final = 8.0
"""Seconds that one request may wait for a thread, all its calls together."""


class DatabaseThreadTimeout(errors.DatabaseUnavailable):
    """No thread became free in time; nothing was run."""

    default_message = _("The site is busy. Try again in a moment.")

    def __init__(self) -> None:
        super().__init__(retry_after=5)


class RequestThread(Executor):
    """The executor of one request: runs its calls one at a time, on one thread of the pool."""

    def __init__(self, pool: RequestThreadPool, *, keep: bool = False) -> None:
        self.pool = pool
        self.keep = keep
        self.closed = False
        self.thread: _Thread | None = None
        self.waited = 0.0  # seconds

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raises `DatabaseThreadTimeout` where the call would have to wait and the request has waited too long."""
        call = _Call(self, partial(fn, *args, **kwargs))
        self.pool.submit(call)
        return call.future

    def close(self) -> None:
        """Give the thread back. A transaction that is still open is rolled back."""
        self.pool.close_request(self)


class _Call:
    """One call of a request, waiting or running."""

    __slots__ = ("function", "future", "request", "waiting_since")

    def __init__(self, request: RequestThread, function: Callable[[], Any]) -> None:
        self.request = request
        self.function = function
        self.future: Future[Any] = Future()
        self.waiting_since: float | None = None

    def seconds_waited(self, now: float) -> float:
        """Seconds that its request has waited so far, earlier calls included."""
        return self.request.waited + (now - self.waiting_since if self.waiting_since is not None else 0)


class _Thread(threading.Thread):
    """One thread of a pool; it starts with its first call. What is not its own is guarded by the pool's lock."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"request-{number}", daemon=True)  # `_stop` lets the running call end at exit
        self.calls: SimpleQueue[_Call | None] = SimpleQueue()
        self.is_busy = False
        self.kept_by: RequestThread | None = None
        self.requests = 0  # that are assigned to this thread

    def is_free_for(self, request: RequestThread | None) -> bool:
        return not self.is_busy and (self.kept_by is None or self.kept_by is request)

    def run(self) -> None:
        while (call := self.calls.get()) is not None:
            call.request.pool.run_calls(self, call)
            del call  # it leads to the pool, which ends its threads when nothing else refers to it
        connections.close_all()


class RequestThreadPool:
    """The pool. A new request gets the free thread with the fewest requests; calls wait in the order of arrival."""

    def __init__(self, threads: int = MAX_THREADS, max_wait: float = MAX_WAIT) -> None:
        self.max_wait = max_wait
        self._lock = threading.Lock()
        self._threads = [_Thread(number) for number in range(threads)]
        self._waiting: deque[_Call] = deque()
        self._next_check = 0.0
        weakref.finalize(self, _stop, self._threads)

    def submit(self, call: _Call) -> None:
        """Run the call on the thread of its request, now or when it is free. Needs a running event loop."""
        request = call.request
        with self._lock:
            thread = request.thread or self._free_thread()
            if thread is None or not thread.is_free_for(request):
                self._wait(call)
                return
            self._assign(call, thread)
            self._start(call, thread)

    def close_request(self, request: RequestThread) -> None:
        with self._lock:
            request.closed = True
            thread = request.thread
            if thread is None:
                return
            thread.requests -= 1
            if thread.kept_by is request:  # its connections have to be given back in the thread itself
                call = _Call(request, _do_nothing)
                if thread.is_busy:
                    self._waiting.appendleft(call)
                else:
                    self._start(call, thread)

    def run_calls(self, thread: _Thread, first: _Call) -> None:
        """In the thread: run this call, and then those that wait for this thread or for any."""
        call: _Call | None = first
        while call is not None:
            call = self._run(thread, call)

    def _free_thread(self) -> _Thread | None:
        free = [thread for thread in self._threads if thread.is_free_for(None)]
        return min(free, key=attrgetter("requests"), default=None)

    def _assign(self, call: _Call, thread: _Thread) -> None:
        if call.request.thread is None:
            call.request.thread = thread
            thread.requests += not call.request.closed

    def _start(self, call: _Call, thread: _Thread) -> None:
        thread.is_busy = True
        if thread.ident is None:
            thread.start()
        thread.calls.put(call)

    def _wait(self, call: _Call) -> None:
        if call.request.waited >= self.max_wait:
            raise DatabaseThreadTimeout
        call.waiting_since = now = time.monotonic()
        self._waiting.append(call)
        if now >= self._next_check:
            self._check_later(now)

    def _check_later(self, now: float) -> None:
        interval = self.max_wait / 8  # one timer for all calls: a timer for each would cost as much as the call
        self._next_check = now + interval
        asyncio.get_running_loop().call_later(interval, self._refuse_overdue, context=Context())

    def _refuse_overdue(self) -> None:
        """Refuse the calls that will have waited too long by the time of the next check."""
        with self._lock:
            now = time.monotonic()
            latest = self.max_wait - self.max_wait / 8
            overdue = [call for call in self._waiting if call.seconds_waited(now) > latest]
            for call in overdue:
                self._waiting.remove(call)
                call.request.waited = self.max_wait
            if self._waiting:
                self._check_later(now)
        for call in overdue:
            if call.future.set_running_or_notify_cancel():
                logger.warning("No database thread became free in time.")
                call.future.set_exception(DatabaseThreadTimeout())

    def _run(self, thread: _Thread, call: _Call) -> _Call | None:
        """In the thread: run one call; returns the next."""
        request, function, future = call.request, call.function, call.future
        result, error = None, None
        if wanted := future.set_running_or_notify_cancel():
            try:
                result = function()
            except BaseException as raised:  # the event loop gets it from the future
                error = raised
        keep = request.keep or _is_in_transaction()
        if keep:
            with self._lock:
                keep = not request.closed
                thread.kept_by = request if keep else None
        if not keep:
            _give_back_connections()
        with self._lock:
            if not keep:
                thread.kept_by = None
            next_call = self._next_call(thread)
            thread.is_busy = next_call is not None
        if error is not None:
            future.set_exception(error)
        elif wanted:
            future.set_result(result)
        return next_call

    def _next_call(self, thread: _Thread) -> _Call | None:
        for call in self._waiting:
            request = call.request
            if request.thread in (None, thread) and thread.kept_by in (None, request):
                self._waiting.remove(call)
                self._assign(call, thread)
                request.waited = call.seconds_waited(time.monotonic())
                return call
        return None


def _is_in_transaction() -> bool:
    """Whether a call has left a transaction open in this thread, or has switched autocommit off."""
    return any(_has_transaction(connection) for connection in connections.all(initialized_only=True))


def _has_transaction(connection: BaseDatabaseWrapper) -> bool:
    if connection.in_atomic_block:
        return True
    if connection.connection is None:
        return False
    return bool(connection.get_autocommit() != connection.settings_dict["AUTOCOMMIT"])


def _give_back_connections() -> None:
    """Roll back what a request has left open, and check whether the connections are still good."""
    try:
        for connection in connections.all(initialized_only=True):
            if _has_transaction(connection):
                logger.warning("A request ended with an open transaction. It was rolled back.")
                connection.close()
                del connections[connection.alias]
        close_old_connections()
    except Exception:
        logger.exception("A database connection could not be given back.")


def _stop(threads: list[_Thread]) -> None:
    """End the threads of a pool that is no longer used, or of a process that ends; running calls return first."""
    for thread in threads:
        thread.calls.put(None)
    for thread in threads:
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join()


def _do_nothing() -> None:
    return None
