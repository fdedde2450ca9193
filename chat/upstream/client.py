"""The HTTP client: one per event loop, and a transport that keeps a strange server harmless."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
from django.conf import settings
from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpx2Client

from chat.demo import DemoTransport

CONNECT_TIMEOUT = 5.0
WRITE_TIMEOUT = 30.0
READ_TIMEOUT_MARGIN = 30.0
MAX_CONNECTIONS = 1000
KEEP_ALIVE = 30.0
ERROR_BODY_LIMIT = 65_536

_clients: dict[asyncio.AbstractEventLoop, dict[tuple[str, str], AsyncOpenAI]] = {}


# At DEBUG the package logs what a provider put into its headers.
logging.getLogger("openai._base_client").addFilter(lambda record: record.levelno >= logging.WARNING)


class _Capped(httpx2.AsyncByteStream):
    """The head of an error body: the openai package reads such bodies whole."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        room = ERROR_BODY_LIMIT
        async for chunk in self._inner:
            yield chunk[:room]
            room -= len(chunk)
            if room <= 0:
                return

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Guard(httpx2.AsyncBaseTransport):
    """The package's aiohttp transport with its exceptions told apart, without cookies, with error bodies capped."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if isinstance(self._inner.client, aiohttp.ClientSession):
            self._inner.client.cookie_jar.clear()
        try:
            response: httpx2.Response = await self._inner.handle_async_request(request)
        except httpx2.TransportError as error:
            raise _told_apart(error) from error.__cause__
        except ValueError as error:
            raise httpx2.LocalProtocolError(type(error).__name__) from None
        except Exception as error:
            raise httpx2.RemoteProtocolError(type(error).__name__) from None
        if not response.is_success:
            response.headers.pop("content-encoding", None)
            response.stream = _Capped(response.stream)  # type: ignore[arg-type]
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _told_apart(error: httpx2.TransportError) -> httpx2.TransportError:
    """The transport reports every failure before the headers as a time-out of some kind."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return httpx2.ConnectError(type(cause).__name__)
    if isinstance(error, httpx2.TimeoutException) and not isinstance(cause, TimeoutError):
        return httpx2.ReadError(type(cause).__name__)
    return error


class _HttpClient(DefaultAioHttpClient):
    def _init_transport(self, **options: Any) -> httpx2.AsyncBaseTransport:  # type: ignore[override]
        return _Guard(super()._init_transport(**options))

    def _init_proxy_transport(self, **options: Any) -> httpx2.AsyncBaseTransport:  # type: ignore[override]
        return _Guard(super()._init_proxy_transport(**options))


def is_demo() -> bool:
    """Neither a key nor a server is configured, so the embedded demo model answers."""
    return not settings.OPENAI_API_KEY and not settings.OPENAI_BASE_URL


def client() -> AsyncOpenAI:
    """The running loop's client for the configured server."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    key = (settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY)
    if key not in clients:
        clients[key] = _build(*key)
    return clients[key]


async def close() -> None:
    """Closes the running loop's clients; a later request builds a new one."""
    for each in _clients.pop(asyncio.get_running_loop(), {}).values():
        await each.close()


def _build(base_url: str, api_key: str) -> AsyncOpenAI:
    if is_demo():
        return AsyncOpenAI(
            api_key="none",
            base_url="http://demo.invalid/v1",
            http_client=DefaultAsyncHttpx2Client(transport=DemoTransport(), trust_env=False),
            max_retries=0,
        )
    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE
    )
    # A cookie set on one person's request must not come back with the next person's.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return AsyncOpenAI(
        api_key=api_key or "none",
        base_url=base_url or "https://api.openai.com/v1",
        http_client=_HttpClient(verify=_tls(), follow_redirects=False, limits=limits, cookies=no_cookies),
        max_retries=0,
    )


@cache
def _tls() -> ssl.SSLContext:
    """Reading the trust store is slow, so every loop shares what was read."""
    return httpx2.create_ssl_context()


def timeout() -> httpx2.Timeout:
    """The transport's own clocks; its read clock only backs up those of `completion`."""
    read = max(settings.CHAT_FIRST_TOKEN_TIMEOUT, settings.CHAT_STALL_TIMEOUT) + READ_TIMEOUT_MARGIN
    return httpx2.Timeout(connect=CONNECT_TIMEOUT, read=read, write=WRITE_TIMEOUT, pool=CONNECT_TIMEOUT)
