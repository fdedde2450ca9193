"""Token counts under the names the AI SDK uses."""

from __future__ import annotations

from chat.events import Usage


def usage_object(usage: Usage) -> dict[str, int]:
    return {
        "inputTokens": usage.prompt_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.prompt_tokens + usage.completion_tokens,
        "reasoningTokens": usage.reasoning_tokens,
        "cachedInputTokens": usage.cached_tokens,
    }
