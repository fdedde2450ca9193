"""The body limit for daphne, which writes a whole body to disk before it calls the application."""

from __future__ import annotations

import sys

from chatsite.server.body_limit import MAX_BODY_BYTES, TOO_LARGE, refusal_headers


def limit_daphne_request_bodies() -> None:
    """Refuse bodies over `MAX_BODY_BYTES` while they arrive. Does nothing where another server runs."""
    if "daphne.http_protocol" not in sys.modules:
        return
    from daphne import http_protocol

    # Private, read in daphne 4.2.3 and Twisted 26.10.0: daphne.http_protocol creates its WebRequest by its name in the
    # module, and Twisted calls gotLength, then handleContentChunk for each piece, then requestReceived.
    class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
        _received = 0
        _refused = False

        def gotLength(self, length: int | None) -> None:
            super().gotLength(length)
            if length is not None and length > MAX_BODY_BYTES:
                self._refuse()

        def handleContentChunk(self, data: bytes) -> None:
            self._received += len(data)
            if self._received > MAX_BODY_BYTES:
                self._refuse()
            if not self._refused:
                super().handleContentChunk(data)

        def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
            if not self._refused:
                super().requestReceived(command, path, version)

        def _refuse(self) -> None:
            if self._refused:
                return
            self._refused = True
            headers = (b"%b: %b" % pair for pair in refusal_headers(TOO_LARGE))
            lines = [b"HTTP/1.1 413 Content Too Large", *headers, b"", TOO_LARGE]
            self.channel.transport.write(b"\r\n".join(lines))
            self.channel.loseConnection()

    http_protocol.WebRequest = BoundedRequest
