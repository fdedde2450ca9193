"""A request for one answer, from what the caller asks to the rows that were written for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from chat.answers.prompt import Prompt
from chat.limits.limiter import Grant
from chat.limits.values import Rule
from chat.models import ChatModel, Conversation, Message, ModelPrice, User


@dataclass(kw_only=True)
class AnswerRequest:
    """Filled in step by step. The caller sets the first block, each later block is set by the step it names.

    `parent` is the last message of the branch that the answer follows. With a `question`, a user message is added
    between the two; `question_key` is the client's own name for it. `history` is the conversation of a client that
    names none: it is written first, into a conversation that the site does not list (`transient`).
    `continued` is the unfinished answer that this one goes on from. `grace` is how many seconds the answer goes on
    without a reader; None is until its end.
    """

    user: User
    client_key: str
    conversation: Conversation | None = None
    parent: Message | None = None
    question: str | None = None
    question_key: str = ""
    model_name: str = ""
    client_id: str | None = None
    transient: bool = False
    history: Sequence[tuple[str, str]] = ()
    continued: Message | None = None
    grace: float | None = None

    # store.prepare. `tokens` and `cost` (micro-dollars) are what to reserve.
    answer_id: uuid.UUID = field(init=False)
    model: ChatModel = field(init=False)
    price: ModelPrice | None = field(init=False)
    prompt: Prompt = field(init=False)
    rules: tuple[Rule, ...] = field(init=False)
    tokens: int = field(init=False)
    cost: int = field(init=False)

    # The limiter.
    grant: Grant | None = None

    # store.create. `is_new` is False where the same client key was sent before: this is its answer.
    answer: Message = field(init=False)
    question_message: Message | None = None
    is_new: bool = True

    @property
    def is_new_conversation(self) -> bool:
        conversation = self.answer.conversation
        return conversation.created_at == conversation.updated_at

    def output_cap(self, grant: Grant) -> int:
        """Tokens of output to allow: fewer than the model's cap only where less was reserved than asked for."""
        if grant.tokens < self.tokens:
            return max(grant.tokens - self.prompt.tokens, 1)
        return self.prompt.max_output
