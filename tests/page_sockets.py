"""The WebSocket that an open page has."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.site import Person


def open_page(person: Person, path: str = "/ws/", **changes: Any) -> ClientConnection:
    """Connect as a page of this person. `changes` replace options of `websockets.sync.client.connect`."""
    base = str(person.http.base_url).rstrip("/")
    cookies = "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())
    options: dict[str, Any] = {"origin": base, "additional_headers": {"Cookie": cookies}, **changes}
    return connect(base.replace("http", "ws", 1) + path, **options)


def wait_for_message(page: ClientConnection, wanted: str, seconds: float = 15) -> str:
    """The first message that contains `wanted`. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while True:
        message = str(page.recv(timeout=deadline - time.monotonic()))
        if wanted in message:
            return message


def closing_code(page: ClientConnection, seconds: float) -> int:
    """Wait for the server to close the connection. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while page.close_code is None:
        with contextlib.suppress(ConnectionClosed):
            page.recv(timeout=deadline - time.monotonic())
    return page.close_code
