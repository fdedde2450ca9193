"""The WebSocket address of the site."""

from __future__ import annotations

from typing import Any

NOT_FOUND = 4404
"""Close code for an unknown address. Application codes start at 4000; htmx does not reconnect after this one."""


class WebSocketRoute:
    """ASGI application: one path has a consumer, any other is closed without a log line."""

    def __init__(self, path: str, consumer: Any) -> None:
        self.path = path
        self.consumer = consumer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == self.path:
            await self.consumer(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": NOT_FOUND})
