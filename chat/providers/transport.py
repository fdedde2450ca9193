"""The HTTP transport: httpx2 requests sent with aiohttp.

The openai package talks to an httpx2 client. httpx2's own transport (2.16) needs 1.6 times the CPU for each token and
1.8 times for each request, so the requests go out through an `aiohttp.ClientSession`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import aiohttp
import httpx2

MAX_CONNECTIONS = 1000
KEEP_ALIVE_SECONDS = 30.0
CONNECT_SECONDS = 5.0
READ_SIZE = 16_384
# The openai package reads the body of an error response whole. It is not decompressed either: 64 KB can hold 64 MB.
MAX_ERROR_BODY_BYTES = 65_536
# No total and no read timeout: the callers have their own (`timeouts.AnswerTimeouts`).
TIMEOUT = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Connections of one event loop. Follows no redirects and decompresses no body.

    Drops cookies: one that the provider sets on one person's request must not be sent with the next person's.

    Raises the exceptions of httpx2: `ConnectError` before there is a connection, `ReadError` when it ends early,
    `TimeoutException`, `LocalProtocolError` for a request that cannot be sent, `RemoteProtocolError` for a response
    that is not HTTP.
    """

    def __init__(self, *, tls: ssl.SSLContext, proxy: str | None = None) -> None:
        connector = aiohttp.TCPConnector(ssl=tls, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=TIMEOUT,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response once its headers are there; the body is still to be read."""
        try:
            response = await self._session.request(
                request.method,
                str(request.url),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=request.content or None,
                allow_redirects=False,
                proxy=self._proxy,
            )
        except Exception as error:
            raise _as_httpx_error(error) from error
        success = 200 <= response.status < 300
        dropped = (b"set-cookie",) if success else (b"set-cookie", b"content-encoding")
        return httpx2.Response(
            response.status,
            headers=[header for header in response.raw_headers if header[0].lower() not in dropped],
            stream=_ResponseBody(response, None if success else MAX_ERROR_BODY_BYTES),
            request=request,
        )

    async def aclose(self) -> None:
        await self._session.close()


class _ResponseBody(httpx2.AsyncByteStream):
    """The bytes of a response, at most `max_bytes` of them."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int | None) -> None:
        self._response = response
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read, remaining = self._response.content.read, self._max_bytes
        try:
            while data := await read(READ_SIZE):
                if remaining is not None:
                    data = data[:remaining]
                    remaining -= len(data)
                yield data
                if remaining == 0:
                    return
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx_error(error) from error

    async def aclose(self) -> None:
        """Close the connection, unless the body was received whole: then it is already free for the next request."""
        self._response.close()


def _as_httpx_error(error: Exception) -> httpx2.TransportError:
    """Carry the type of the error only: its text may quote the provider."""
    name = type(error).__name__
    match error:
        case aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError():
            return httpx2.ProxyError(name)
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return httpx2.ConnectError(name)
        case TimeoutError():
            return httpx2.ReadTimeout(name)
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx2.UnsupportedProtocol(name)
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return httpx2.ReadError(name)
        case ValueError():  # a header that HTTP does not allow
            return httpx2.LocalProtocolError(name)
    return httpx2.RemoteProtocolError(name)
