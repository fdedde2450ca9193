"""The embedded demo model: an in-process HTTP transport that speaks the real wire format.

It lets the site run without a key, and shows every state of an answer by hand: the
first word of a prompt may be a command, `/help` lists them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from chat.providers.demo import texts
from chat.text import estimate_tokens

MODELS = ("demo",)
TOKENS_PER_SECOND = 40.0
SLOW = 4.0
CUT_AFTER = 24
DEFAULT_CAP = 4096

_TOKEN = re.compile(r"\s*\S{1,6}|\s+")
_STATUSES = {
    "400": (400, "invalid_request_error", {}),
    "401": (401, "invalid_api_key", {}),
    "403": (403, "permission_denied", {}),
    "404": (404, "model_not_found", {}),
    "429": (429, "rate_limit_exceeded", {"retry-after": "7"}),
    "quota": (429, "insufficient_quota", {"retry-after": "86400"}),
    "toolong": (400, "context_length_exceeded", {}),
    "500": (500, "server_error", {}),
    "502": (502, "bad_gateway", {}),
    "503": (503, "overloaded", {"retry-after": "30"}),
}
_FINISH = {"filter": "content_filter", "length": "length"}
_MIDWAY = frozenset({"cut", "stall", "error", *_FINISH})
FAULTS = frozenset({"unreachable", "timeout", "html", "empty", "refuse", *_STATUSES, *_MIDWAY})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one demo answer does; `fault` is the word after `/fail`."""

    text: str
    thought: str = ""
    tokens_per_second: float
    fault: str = ""


class DemoTransport(httpx2.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/models"):
            return _json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
        body = orjson.loads(await request.aread())
        plan = plan_for([(turn["role"], turn["content"]) for turn in body["messages"]])
        if plan.fault == "unreachable":
            raise httpx2.ConnectError("demo")
        if plan.fault == "timeout":
            await asyncio.Event().wait()
        if plan.fault in _STATUSES:
            status, code, headers = _STATUSES[plan.fault]
            return _json(status, {"error": {"message": "demo", "type": code, "code": code}}, headers)
        if plan.fault == "html":
            return httpx2.Response(200, headers={"content-type": "text/html"}, content=b"<h1>demo</h1>")
        headers = {"content-type": "text/event-stream", "x-request-id": "demo"}
        return httpx2.Response(200, headers=headers, stream=_Answer(body, plan))


class _Answer(httpx2.AsyncByteStream):
    def __init__(self, body: dict[str, Any], plan: Plan) -> None:
        self._model = str(body.get("model", "demo"))
        self._cap = int(body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_CAP)
        self._prompt_tokens = sum(estimate_tokens(turn["content"]) + 4 for turn in body["messages"])
        self._plan = plan

    async def __aiter__(self) -> AsyncIterator[bytes]:
        plan, spoken = self._plan, 0
        for field, token in _said(plan):
            if spoken == self._cap or (spoken == CUT_AFTER and plan.fault in _MIDWAY):
                break
            spoken += 1
            yield self._chunk({field: token})
            if plan.tokens_per_second:
                await asyncio.sleep(1 / plan.tokens_per_second)
        if plan.fault == "cut":
            raise httpx2.ReadError("demo")
        if plan.fault == "stall":
            await asyncio.Event().wait()
        if plan.fault == "error":
            yield _event({"error": {"message": "demo", "type": "server_error"}})
            return
        yield self._chunk({}, "length" if spoken == self._cap else _FINISH.get(plan.fault, "stop"))
        yield self._usage(spoken)
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event({"object": "chat.completion.chunk", "model": self._model, "choices": [choice]})

    def _usage(self, spoken: int) -> bytes:
        thought = min(spoken, len(_TOKEN.findall(self._plan.thought)))
        usage = {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": spoken,
            "total_tokens": self._prompt_tokens + spoken,
            "completion_tokens_details": {"reasoning_tokens": thought},
        }
        return _event({"object": "chat.completion.chunk", "model": self._model, "choices": [], "usage": usage})


def plan_for(turns: list[tuple[str, str]]) -> Plan:
    """The answer to a conversation, which depends on nothing but its last question.

    Asked to continue, it gives the rest of the answer that was cut off.
    """
    question = turns[-1][1]
    if not _asks_to_continue(turns):
        return _answer(question)
    said = turns[-2][1]
    earlier = next((content for role, content in reversed(turns[:-2]) if role == "user"), "")
    whole = _answer(earlier).text
    rest = whole.removeprefix(said) if whole.startswith(said) else ""
    return _plan(rest or texts.NOTHING_LEFT)


def _asks_to_continue(turns: list[tuple[str, str]]) -> bool:
    asks = turns[-1][1].strip().lower().startswith(("continue", "go on", "/continue"))
    return asks and len(turns) > 2 and turns[-2][0] == "assistant"


def _answer(question: str) -> Plan:
    said = question.lstrip()
    command = said.split(maxsplit=1)[0] if said else ""
    rest = said[len(command) + 1 :]
    match command.lower():
        case "/slow":
            return Plan(text=texts.welcome(rest), tokens_per_second=SLOW)
        case "/fast":
            return Plan(text=texts.welcome(rest), tokens_per_second=0)
        case "/long":
            return _plan(texts.long())
        case "/think":
            return _plan(texts.welcome(rest), thought=texts.THOUGHT)
        case "/markdown":
            return _plan(texts.MARKDOWN)
        case "/code":
            return _plan(texts.CODE)
        case "/echo":
            return _plan(rest)
        case "/help":
            return _plan(texts.HELP)
        case "/fail":
            return _failing(rest.strip().lower())
    return _plan(texts.welcome(question))


def _failing(fault: str) -> Plan:
    if fault not in FAULTS:
        return _plan(texts.HELP)
    text = {"empty": "", "refuse": texts.REFUSAL}.get(fault, texts.STORY)
    return _plan(text, fault=fault)


def _plan(text: str, *, thought: str = "", fault: str = "") -> Plan:
    return Plan(text=text, thought=thought, fault=fault, tokens_per_second=TOKENS_PER_SECOND)


def _said(plan: Plan) -> Iterator[tuple[str, str]]:
    for token in _TOKEN.findall(plan.thought):
        yield "reasoning_content", token
    for token in _TOKEN.findall(plan.text):
        yield "refusal" if plan.fault == "refuse" else "content", token


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _json(status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> httpx2.Response:
    return httpx2.Response(status, headers={"content-type": "application/json", **(headers or {})}, json=value)
