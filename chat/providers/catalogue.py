"""The models a provider offers."""

from __future__ import annotations

import asyncio

import orjson

from chat import errors
from chat.providers import client, failures, recent_errors

LIST_TIMEOUT = 15.0
LIST_LIMIT = 4 * 1_048_576


async def list_models() -> list[str]:
    """Their names, sorted; raises `UpstreamError`."""
    try:
        async with asyncio.timeout(LIST_TIMEOUT):
            body = await _fetch()
    except errors.ProviderError:
        raise
    except Exception as exception:
        refusal = failures.from_exception(exception)
        recent_errors.record(refusal.error, refusal.status)
        raise refusal.error from None
    return _names(body)


async def _fetch() -> bytes:
    models = client.provider().openai.models.with_streaming_response
    headers = {"Accept-Encoding": "identity"}
    async with models.list(extra_headers=headers, timeout=client.TIMEOUT) as opened:
        body = b""
        async for chunk in opened.http_response.aiter_bytes():
            body += chunk
            if len(body) > LIST_LIMIT:
                raise errors.ProviderInterrupted
        return body


def _names(body: bytes) -> list[str]:
    try:
        entries = orjson.loads(body)["data"]
        names = {entry["id"] for entry in entries if isinstance(entry["id"], str)}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.ProviderInterrupted from None
    return sorted(name for name in names if name and len(name) <= 200 and name.isprintable())
