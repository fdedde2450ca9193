"""What is asked of a provider, and which optional fields each server turned down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

OUTPUT_CAPS = ("max_completion_tokens", "max_tokens")
OPTIONAL = frozenset({"stream_options", "safety_identifier", "store", *OUTPUT_CAPS})

_turned_down: dict[str, frozenset[str]] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    role: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """`safety_identifier` names the person without telling who it is; only OpenAI itself gets it."""

    model: str
    turns: tuple[Turn, ...]
    max_output_tokens: int
    safety_identifier: str = ""


def is_openai(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return not base_url or host == "api.openai.com" or host.endswith(".api.openai.com")


def body(request: CompletionRequest, base_url: str, without: frozenset[str]) -> dict[str, Any]:
    """The JSON to send, less the optional fields in `without`.

    Of the two names for the output cap one is sent: OpenAI wants the newer one, most
    compatible servers know only the older.
    """
    at_openai = is_openai(base_url)
    optional: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if at_openai:
        optional["store"] = False
        if request.safety_identifier:
            optional["safety_identifier"] = request.safety_identifier
    caps = OUTPUT_CAPS if at_openai else OUTPUT_CAPS[::-1]
    if cap := next((name for name in caps if name not in without), ""):
        optional[cap] = request.max_output_tokens
    return {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in request.turns],
        "stream": True,
        **{name: value for name, value in optional.items() if name not in without},
    }


def turned_down(base_url: str, model: str) -> frozenset[str]:
    """The optional fields this server is known to reject, for every model or for this one."""
    nothing: frozenset[str] = frozenset()
    return _turned_down.get(base_url, nothing) | _turned_down.get(f"{base_url} {model}", nothing)


def remember_turned_down(base_url: str, fields: frozenset[str], model: str = "") -> None:
    key = f"{base_url} {model}" if model else base_url
    _turned_down[key] = _turned_down.get(key, frozenset()) | fields
