"""A request for a completion, and its JSON body."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

OUTPUT_LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")
OPTIONAL_FIELDS = frozenset({"stream_options", "safety_identifier", "store", *OUTPUT_LIMIT_FIELDS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One message of the conversation. `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """`safety_identifier` is a pseudonym of the user; it is sent to OpenAI only."""

    model: str
    turns: tuple[Turn, ...]
    max_output_tokens: int
    safety_identifier: str = ""


def is_openai(base_url: str) -> bool:
    """Tell whether the server is OpenAI's own, in any region. An empty URL means OpenAI."""
    host = urlsplit(base_url).hostname or ""
    return not base_url or host == "api.openai.com" or host.endswith(".api.openai.com")


def json_fields(request: CompletionRequest, base_url: str, rejected: frozenset[str]) -> dict[str, object]:
    """The fields to send to the server, without the optional ones in `rejected`.

    The output limit has two names, of which one is sent: OpenAI requires the newer one, most compatible servers know
    only the older one.
    """
    for_openai = is_openai(base_url)
    optional: dict[str, object] = {"stream_options": {"include_usage": True}}
    if for_openai:
        optional["store"] = False
        if request.safety_identifier:
            optional["safety_identifier"] = request.safety_identifier
    limit_fields = OUTPUT_LIMIT_FIELDS if for_openai else OUTPUT_LIMIT_FIELDS[::-1]
    if limit_field := next((name for name in limit_fields if name not in rejected), ""):
        optional[limit_field] = request.max_output_tokens
    return {
        "model": request.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in request.turns],
        "stream": True,
        **{name: value for name, value in optional.items() if name not in rejected},
    }
