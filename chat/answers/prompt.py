"""Which turns go to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from chat.models import ChatModel, Message, PromptMessage, Status
from chat.providers import Turn
from chat.text import estimate_tokens

UNKNOWN_WINDOW = 32_000
TURN_OVERHEAD = 4
CONTINUE = "Continue exactly where you stopped. Do not repeat anything and do not comment."


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """`tokens` is an estimate; `left_out` counts earlier messages that did not fit."""

    turns: tuple[Turn, ...]
    tokens: int
    left_out: int
    max_output: int


def _spoken(branch: Sequence[PromptMessage]) -> list[PromptMessage]:
    """The branch without turns that brought no text, and without the questions they left unanswered."""
    kept: list[PromptMessage] = []
    for message in branch:
        if message.role == Message.Role.ASSISTANT and (not message.content or message.status == Status.FAILED):
            if kept and kept[-1].role == Message.Role.USER:
                kept.pop()
            continue
        kept.append(message)
    return kept


def _cost(turn: Turn) -> int:
    return estimate_tokens(turn.content) + TURN_OVERHEAD


def build(branch: Sequence[PromptMessage], *, system: str, model: ChatModel | None, resume: bool = False) -> Prompt:
    """The prompt for the next answer of `branch`, whose last message is the question.

    With `resume` the last message is the unfinished answer. The oldest turns go
    first when the window is too small; the system prompt and the last turn stay.
    """
    output = min(settings.CHAT_MAX_OUTPUT_TOKENS, (model and model.max_output) or settings.CHAT_MAX_OUTPUT_TOKENS)
    window = (model and model.context_window) or UNKNOWN_WINDOW
    room = max(window - min(output, window // 2), 1)

    turns = [Turn(role=message.role, content=message.content) for message in _spoken(branch)]
    if resume:
        turns.append(Turn(role="user", content=CONTINUE))
    fixed = [Turn(role="system", content=system)] if system else []
    keep_last = 2 if resume else 1

    total = sum(_cost(turn) for turn in fixed) + sum(_cost(turn) for turn in turns[-keep_last:])
    first = max(len(turns) - keep_last, 0)
    while first > 0 and len(turns) - first < settings.CHAT_MAX_MESSAGES:
        cost = _cost(turns[first - 1])
        if total + cost > room:
            break
        total += cost
        first -= 1
    if 0 < first < len(turns) - keep_last and turns[first].role == "assistant":
        total -= _cost(turns[first])
        first += 1
    return Prompt(turns=tuple(fixed + turns[first:]), tokens=total, left_out=first, max_output=output)
