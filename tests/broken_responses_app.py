"""An ASGI application whose responses fail after their first byte, for tests of both servers."""

from __future__ import annotations

from typing import Any

from chatsite.server.broken_responses import AbortBrokenResponses


class Incomplete(Exception):
    pass


async def fail_half_way(scope: Any, receive: Any, send: Any) -> None:
    """`/expected` raises the exception that is expected, `/fault` another one, any other path is complete."""
    if scope["type"] != "http":
        raise ValueError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the first part", "more_body": True})
    if scope["path"] == "/expected":
        raise Incomplete
    if scope["path"] == "/fault":
        raise RuntimeError("a fault of ours")
    await send({"type": "http.response.body", "body": b""})


application = AbortBrokenResponses(fail_half_way, expected=(Incomplete,))
