"""The HTTP client: one per event loop, and a transport that keeps a strange server harmless."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
import orjson
from django.conf import settings
from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpx2Client

from chat.providers.demo import DemoTransport

MAX_CONNECTIONS = 1000
KEEP_ALIVE = 30.0
ERROR_BODY_LIMIT = 65_536
DEMO_URL = "http://demo.invalid/v1"

TIMEOUT = httpx2.Timeout(connect=5.0, read=None, write=30.0, pool=5.0)
"""Every caller has a clock of its own for what it reads; the transport's would be wound up anew for each packet."""
STREAMED = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}

_providers: dict[asyncio.AbstractEventLoop, dict[tuple[str, str], Provider]] = {}


# At DEBUG the package logs what a provider put into its headers.
logging.getLogger("openai._base_client").addFilter(lambda record: record.levelno >= logging.WARNING)


class _Capped(httpx2.AsyncByteStream):
    """The head of an error body, which is read whole."""

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


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The configured server, as the openai package reaches it.

    Completions go out over the package's own address, headers and HTTP client, but not through
    its methods: those build and check each request anew, at half of what opening a stream costs.
    """

    openai: AsyncOpenAI
    http: httpx2.AsyncClient
    url: httpx2.URL
    headers: httpx2.Headers

    async def complete(self, fields: dict[str, Any]) -> httpx2.Response:
        """The response, its body still to come."""
        request = httpx2.Request(
            "POST",
            self.url,
            headers=self.headers,
            content=orjson.dumps(fields).decode(),  # orjson's bytes keep a buffer of 4 KB while the stream is open
            extensions={"timeout": TIMEOUT.as_dict()},
        )
        response = await self.http.send(request, stream=True)
        response.request = httpx2.Request("POST", self.url)  # the prompt has been sent; an open stream need not keep it
        return response


def provider() -> Provider:
    """The running loop's."""
    providers = _providers.setdefault(asyncio.get_running_loop(), {})
    key = (settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY)
    if key not in providers:
        providers[key] = _build(*key)
    return providers[key]


async def close() -> None:
    """Closes the running loop's connections; a later request opens new ones."""
    for each in _providers.pop(asyncio.get_running_loop(), {}).values():
        await each.openai.close()


def _build(base_url: str, api_key: str) -> Provider:
    http = _demo_client() if is_demo() else _http_client()
    openai = AsyncOpenAI(
        api_key=api_key or "none",
        base_url=DEMO_URL if is_demo() else base_url or "https://api.openai.com/v1",
        http_client=http,
        max_retries=0,
    )
    given = {**openai.default_headers, **openai.auth_headers, **STREAMED}
    # What the package would tell of this machine is left out.
    told = {name: value for name, value in given.items() if isinstance(value, str) and name[:12] != "X-Stainless-"}
    return Provider(
        openai=openai, http=http, url=openai.base_url.join("chat/completions"), headers=httpx2.Headers(told)
    )


def _demo_client() -> httpx2.AsyncClient:
    return DefaultAsyncHttpx2Client(transport=DemoTransport(), trust_env=False)


def _http_client() -> httpx2.AsyncClient:
    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=KEEP_ALIVE
    )
    # A cookie set on one person's request must not come back with the next person's.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return _HttpClient(verify=_tls(), follow_redirects=False, limits=limits, cookies=no_cookies)


@cache
def _tls() -> ssl.SSLContext:
    """Reading the trust store is slow, so every loop shares what was read."""
    return httpx2.create_ssl_context()
