"""Clients of the configured provider, one for each event loop."""

from __future__ import annotations

import httpx2
import orjson
from django.conf import settings
from openai import AsyncOpenAI, AsyncStream, Omit, omit

from chat.infra.process import process
from chat.providers.demo import DemoTransport
from chat.providers.proxies import proxy_for
from chat.providers.transport import AiohttpTransport

OPENAI_URL = "https://api.openai.com/v1"
DEMO_URL = "http://demo.invalid/v1"


def is_demo() -> bool:
    """Tell whether the demo model answers: neither a key nor a server is configured."""
    return not settings.OPENAI_API_KEY and not settings.OPENAI_BASE_URL


class UnparsedStream(AsyncStream[object]):
    """A response that the openai package does not parse. Keeps nothing but the response: no request, no prompt."""

    def __init__(self, *, response: httpx2.Response, **_unused: object) -> None:
        self.response = response


class ProviderClient:
    """Requests to one server with one key.

    Requests go out with the verbs of the openai client (`post`, `get`), not with `chat.completions.create`. That
    method copies and checks every message against the schema, which costs 2 ms for a short conversation and 15 ms
    for one of 60 messages.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        self._openai = AsyncOpenAI(
            api_key=api_key or "none",
            base_url=base_url,
            http_client=_http_client(httpx2.URL(base_url)),
            max_retries=0,
            timeout=None,
        )
        self._request_without_body = httpx2.Request("POST", base_url)
        self._headers: dict[str, str | Omit] = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            # The openai package would send the operating system, the Python version and more.
            **{name: omit for name in self._openai.default_headers if name.lower().startswith("x-stainless-")},
            "X-Stainless-Retry-Count": omit,
        }

    async def open_completion(self, fields: dict[str, object]) -> httpx2.Response:
        """Send a request for a completion and return the response, whose body is still to be read.

        Raises the exceptions of openai and httpx2; see `failures.from_exception`.
        """
        stream = await self._openai.post(
            "/chat/completions",
            cast_to=object,
            content=bytes(
                memoryview(orjson.dumps(fields))
            ),  # a copy: orjson's own bytes may occupy eight times as much
            stream=True,
            stream_cls=UnparsedStream,
            options={"headers": self._headers},
        )
        response = stream.response
        # The response holds its request, with the whole prompt, for as long as the stream is open.
        response.request = self._request_without_body
        return response

    async def open_model_list(self) -> httpx2.Response:
        """Like `open_completion`, for the list of models."""
        stream = await self._openai.get(
            "/models",
            cast_to=object,
            stream=True,
            stream_cls=UnparsedStream,
            options={"headers": {**self._headers, "Accept": "application/json"}},
        )
        return stream.response

    async def close(self) -> None:
        await self._openai.close()


class ProviderClients:
    """The clients of one event loop by server and key, so that changed settings take effect at once."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], ProviderClient] = {}

    def current(self) -> ProviderClient:
        """The client for the present settings."""
        base_url = DEMO_URL if is_demo() else settings.OPENAI_BASE_URL or OPENAI_URL
        key = (base_url, settings.OPENAI_API_KEY)
        if key not in self._clients:
            self._clients[key] = ProviderClient(*key)
        return self._clients[key]

    async def close(self) -> None:
        """Close all connections. A later request opens new ones."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()


def provider_client() -> ProviderClient:
    """The client of the running event loop for the present settings."""
    return process.loop_part(ProviderClients).current()


async def close() -> None:
    """Close the connections of the running event loop. A later request opens new ones."""
    await process.loop_part(ProviderClients).close()


def _http_client(base_url: httpx2.URL) -> httpx2.AsyncClient:
    transport = DemoTransport() if is_demo() else _transport(base_url)
    return httpx2.AsyncClient(transport=transport, timeout=None, follow_redirects=False, trust_env=False)


def _transport(base_url: httpx2.URL) -> httpx2.AsyncBaseTransport:
    # Reading the trust store is slow, so all event loops share one TLS context.
    return AiohttpTransport(tls=process.part(httpx2.create_ssl_context), proxy=proxy_for(base_url))
