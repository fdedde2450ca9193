"""The HTTP transport of the demo model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import orjson

from chat.providers.demo.answers import ERROR_RESPONSES, MIDWAY_FAULTS, DemoAnswer, answer_to
from chat.text import estimate_tokens

MODELS = ("demo",)
FAULT_AFTER_TOKENS = 24
DEFAULT_OUTPUT_LIMIT = 4096

_FINISH_REASONS = {"filter": "content_filter", "length": "length"}


class DemoTransport(httpx2.AsyncBaseTransport):
    """Answers requests for completions and for the list of models without a network."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/models"):
            return _json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
        body = orjson.loads(await request.aread())
        answer = answer_to([(turn["role"], turn["content"]) for turn in body["messages"]])
        if answer.fault == "unreachable":
            raise httpx2.ConnectError("demo")
        if answer.fault == "timeout":
            await asyncio.Event().wait()
        if error := ERROR_RESPONSES.get(answer.fault):
            status, code, headers = error
            return _json(status, {"error": {"message": "demo", "type": code, "code": code}}, headers)
        if answer.fault == "html":
            return httpx2.Response(200, headers={"content-type": "text/html"}, content=b"<h1>demo</h1>")
        headers = {"content-type": "text/event-stream", "x-request-id": "demo"}
        return httpx2.Response(200, headers=headers, stream=_AnswerStream(body, answer))


class _AnswerStream(httpx2.AsyncByteStream):
    def __init__(self, body: dict[str, Any], answer: DemoAnswer) -> None:
        self._model = str(body.get("model", "demo"))
        self._output_limit = int(body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_OUTPUT_LIMIT)
        self._prompt_tokens = sum(estimate_tokens(turn["content"]) + 4 for turn in body["messages"])
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        fault, count = self._answer.fault, 0
        for field, token in self._answer.tokens():
            if count == self._output_limit or (count == FAULT_AFTER_TOKENS and fault in MIDWAY_FAULTS):
                break
            count += 1
            yield self._chunk({field: token})
            if self._answer.tokens_per_second:
                await asyncio.sleep(1 / self._answer.tokens_per_second)
        if fault == "cut":
            raise httpx2.ReadError("demo")
        if fault == "stall":
            await asyncio.Event().wait()
        if fault == "error":
            yield _event({"error": {"message": "demo", "type": "server_error"}})
            return
        yield self._chunk({}, "length" if count == self._output_limit else _FINISH_REASONS.get(fault, "stop"))
        yield self._usage(count)
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({"object": "chat.completion.chunk", "model": self._model, "choices": [choice]})

    def _usage(self, completion_tokens: int) -> bytes:
        usage = {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self._prompt_tokens + completion_tokens,
            "completion_tokens_details": {
                "reasoning_tokens": min(completion_tokens, len(self._answer.reasoning_tokens()))
            },
        }
        return _event({"object": "chat.completion.chunk", "model": self._model, "choices": [], "usage": usage})


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> httpx2.Response:
    return httpx2.Response(status, headers={"content-type": "application/json", **(headers or {})}, json=value)
