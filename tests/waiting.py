"""Wait for a condition by polling: the only place where a test may sleep to wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

TIMEOUT = 30.0
INTERVAL = 0.02


def wait_until(
    condition: Callable[[], T], timeout: float = TIMEOUT, *, message: object = None, interval: float = INTERVAL
) -> T:
    """Call `condition` until it returns a true value, and return that value.

    `timeout` and `interval` are in seconds. Errors raised by `condition` are passed on.
    Raises `AssertionError` after `timeout`; its text is `message` (called first if it is a
    function), else it names the condition and its last value.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, value, timeout, message))
        time.sleep(interval)
    return value


@overload
async def await_until(
    condition: Callable[[], Awaitable[T]], timeout: float = ..., *, message: object = ..., interval: float = ...
) -> T: ...


@overload
async def await_until(
    condition: Callable[[], T], timeout: float = ..., *, message: object = ..., interval: float = ...
) -> T: ...


async def await_until(
    condition: Callable[[], Any], timeout: float = TIMEOUT, *, message: object = None, interval: float = INTERVAL
) -> Any:
    """Like `wait_until`, on the event loop; `condition` may also be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        value = await result if inspect.isawaitable(result) else result
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, value, timeout, message))
        await asyncio.sleep(interval)


def _failure(condition: Callable[[], object], value: object, timeout: float, message: object) -> str:
    if message is not None:
        return str(message() if callable(message) else message)
    name = getattr(condition, "__qualname__", repr(condition))
    return f"{name} was still {value!r} after {timeout:g} s"
