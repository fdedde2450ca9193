"""The models that a provider offers."""

from __future__ import annotations

import asyncio

import orjson

from chat import errors
from chat.infra.process import process
from chat.providers import failures
from chat.providers.client import provider_client
from chat.providers.recent_errors import RecentErrors

TIMEOUT_SECONDS = 15.0
MAX_BODY_BYTES = 4 * 1_048_576
MAX_NAME_LENGTH = 200


async def list_models() -> list[str]:
    """Return the names of the provider's models, sorted. Raises `ProviderError`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            body = await _fetch()
    except errors.ProviderError:
        raise
    except Exception as exception:
        failure = failures.from_exception(exception)
        process.part(RecentErrors).add(failure.error, failure.status)
        raise failure.error from None
    return _names_in(body)


async def _fetch() -> bytes:
    response = await provider_client().open_model_list()
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise errors.ProviderInterrupted
        return bytes(body)
    finally:
        await response.aclose()


def _names_in(body: bytes) -> list[str]:
    try:
        entries = orjson.loads(body)["data"]
        names = {entry["id"] for entry in entries if isinstance(entry["id"], str)}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.ProviderInterrupted from None
    return sorted(name for name in names if name and len(name) <= MAX_NAME_LENGTH and name.isprintable())
