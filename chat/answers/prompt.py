"""Which messages go to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from chat.models import ChatModel, Message, PromptMessage, Status
from chat.providers import Turn
from chat.text import estimate_tokens

DEFAULT_CONTEXT_WINDOW = 32_000
"""Tokens, for a model whose window is not known."""
TURN_OVERHEAD = 4
"""Tokens that a message costs beside its text."""
TYPICAL_OUTPUT = 1500
"""Tokens of output that are reserved, where the model's cap is not lower."""
CONTINUE = "Continue exactly where you stopped. Do not repeat anything and do not comment."


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """`tokens` is an estimate; `left_out` counts earlier messages that did not fit; `max_output` is in tokens."""

    turns: tuple[Turn, ...]
    tokens: int
    left_out: int
    max_output: int


def build(branch: Sequence[PromptMessage], *, system: str, model: ChatModel | None, continues: bool = False) -> Prompt:
    """The prompt for the next answer of `branch`, whose last message is the question.

    With `continues` the last message is the unfinished answer. Where the context window is too small, the oldest
    messages are left out first; the system prompt and the last message always go.
    """
    output = min(settings.CHAT_MAX_OUTPUT_TOKENS, (model and model.max_output) or settings.CHAT_MAX_OUTPUT_TOKENS)
    window = (model and model.context_window) or DEFAULT_CONTEXT_WINDOW
    room = max(window - min(output, window // 2), 1)

    turns = [Turn(role=message.role, content=message.content) for message in _with_text(branch)]
    if continues:
        turns.append(Turn(role="user", content=CONTINUE))
    fixed = [Turn(role="system", content=system)] if system else []
    keep_last = 2 if continues else 1

    total = sum(_tokens(turn) for turn in fixed) + sum(_tokens(turn) for turn in turns[-keep_last:])
    first = max(len(turns) - keep_last, 0)
    while first > 0 and len(turns) - first < settings.CHAT_MAX_MESSAGES:
        tokens = _tokens(turns[first - 1])
        if total + tokens > room:
            break
        total += tokens
        first -= 1
    if 0 < first < len(turns) - keep_last and turns[first].role == "assistant":
        total -= _tokens(turns[first])
        first += 1
    return Prompt(turns=tuple(fixed + turns[first:]), tokens=total, left_out=first, max_output=output)


def _with_text(branch: Sequence[PromptMessage]) -> list[PromptMessage]:
    """The branch without answers that brought no text, and without the questions they left unanswered."""
    kept: list[PromptMessage] = []
    for message in branch:
        if message.role == Message.Role.ASSISTANT and (not message.content or message.status == Status.FAILED):
            if kept and kept[-1].role == Message.Role.USER:
                kept.pop()
            continue
        kept.append(message)
    return kept


def _tokens(turn: Turn) -> int:
    return estimate_tokens(turn.content) + TURN_OVERHEAD
