"""What the message box shows beside its text: the estimate of a message's tokens, and first messages to try."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext

from chat.answers.prompt import TURN_OVERHEAD, TYPICAL_OUTPUT
from chat.limits.status import LimitStatus
from chat.models import Conversation, Message, User
from chat.text import estimate_tokens


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a message needs beside its own text, in tokens. `left` is None without a limit on tokens."""

    history: int
    output: int
    left: int | None


def estimate(
    user: User, conversation: Conversation | None, head: Message | None, limits: Iterable[LimitStatus]
) -> Estimate:
    """The provider's count for the last answer says what its history needs."""
    system = (conversation.system_prompt if conversation else "") or user.system_prompt
    history = estimate_tokens(system) + TURN_OVERHEAD if system else 0
    if head is not None and head.prompt_tokens:
        history = head.prompt_tokens + (head.completion_tokens or 0) + TURN_OVERHEAD
    left = [item.remaining for item in limits if item.unit == "token"]
    return Estimate(
        history=history,
        output=min(TYPICAL_OUTPUT, settings.CHAT_MAX_OUTPUT_TOKENS),
        left=min(left, default=None),
    )


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A first message that a new chat suggests."""

    title: str
    text: str


def starters(*, demo: bool) -> Sequence[Starter]:
    if demo:
        return (
            Starter(title=gettext("See what it can show"), text="/markdown"),
            Starter(title=gettext("Watch it think"), text="/think"),
            Starter(title=gettext("Let it write code"), text="/code"),
            Starter(title=gettext("Break something"), text="/fail 429"),
        )
    return (
        Starter(title=gettext("Understand"), text=gettext("Explain in plain words, with an example: ")),
        Starter(title=gettext("Write"), text=gettext("Draft a short, friendly mail that says: ")),
        Starter(title=gettext("Improve"), text=gettext("Find mistakes in this and say how to fix them: ")),
        Starter(title=gettext("Plan"), text=gettext("Break this down into steps I can start on today: ")),
    )
