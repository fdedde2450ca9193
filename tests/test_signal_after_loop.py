"""A signal that arrives when the event loop has ended already."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from chatsite.server.shutdown import GracefulShutdown


async def answer(_scope: Any, _receive: Any, _send: Any) -> None:
    return None


async def nothing() -> None:
    return None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_reaches_the_handler_that_was_replaced(number: signal.Signals) -> None:
    received: list[int] = []
    both = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, lambda number, _frame: received.append(number)) for each in both}
    site: Any = GracefulShutdown(answer, start=lambda: None, stop=nothing, close=nothing, save_at_exit=lambda: None)
    try:
        asyncio.run(site({"type": "http"}, None, None))
        signal.raise_signal(number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert received == [number]
