"""One running generation: what it was started with, and what it has produced so far."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from django.utils import timezone
from django.utils.crypto import salted_hmac

from chat.answers.request import AnswerRequest
from chat.events import Delta, LogEvent, ProviderEvent, Reasoning, StreamFinished, StreamOpened, Usage
from chat.limits.limiter import Grant
from chat.limits.plans import subject_of
from chat.limits.values import Rule
from chat.models import ModelPrice, Outcome, Status
from chat.providers import CompletionRequest
from chat.text import clean_model_text, estimate_tokens


@dataclass(kw_only=True)
class Generation:
    """The checkpoint reads it while it runs. Costs are micro-dollars.

    `prefix` is the text of an earlier, unfinished answer that this one continues. With `stopping` the answer counts
    as stopped by its user; with `refused` the provider is not called, because the process is closing.
    """

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    user_id: int
    subject: str
    rules: tuple[Rule, ...]
    completion: CompletionRequest
    prompt_tokens: int
    reserved_tokens: int
    reserved_cost: int
    price: ModelPrice | None
    prefix: str = ""

    phase: Literal["new", "relaying", "ending"] = "new"
    stopping: bool = False
    refused: bool = False
    started: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    first_token_at: dt.datetime | None = None
    usage: Usage | None = None
    finish: StreamFinished | None = None
    request_id: str = ""
    saved_length: int = 0
    """Characters of text and reasoning that the last checkpoint saved."""
    _text: list[str] = field(default_factory=list)
    _reasoning: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, request: AnswerRequest, grant: Grant) -> Generation:
        user_id, prefix = request.user.pk, request.continued.content if request.continued else ""
        return cls(
            message_id=request.answer_id,
            conversation_id=request.answer.conversation_id,
            user_id=user_id,
            subject=subject_of(request.user),
            rules=request.rules,
            completion=CompletionRequest(
                model=request.model.name,
                turns=request.prompt.turns,
                max_output_tokens=request.output_cap(grant),
                safety_identifier=salted_hmac("chat.safety", str(user_id), algorithm="sha256").hexdigest(),
            ),
            prompt_tokens=request.prompt.tokens,
            reserved_tokens=grant.tokens,
            reserved_cost=grant.cost,
            price=request.price,
            prefix=prefix,
            _text=[prefix] if prefix else [],
        )

    @property
    def text(self) -> str:
        if len(self._text) > 1:
            self._text[:] = ["".join(self._text)]
        return self._text[0] if self._text else ""

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def received(self) -> str:
        """Everything the provider sent: what this generation is charged for."""
        return self.text[len(self.prefix) :] + self.reasoning

    def has_unsaved_text(self) -> bool:
        return self.saved_length != len(self.text) + len(self.reasoning)

    def add(self, events: Sequence[ProviderEvent]) -> list[LogEvent]:
        """Note what the provider sent; returns the events that readers see."""
        shown: list[LogEvent] = []
        for event in events:
            match event:
                case Delta(text=text):
                    cleaned = Delta(text=clean_model_text(text))
                    self._text.append(cleaned.text)
                    shown.append(cleaned)
                case Reasoning(text=text):
                    thought = Reasoning(text=clean_model_text(text))
                    self._reasoning.append(thought.text)
                    shown.append(thought)
                case Usage():
                    self.usage = event
                case StreamFinished():
                    self.finish = event
                case StreamOpened(request_id=request_id):
                    self.request_id = request_id[:128]
        if shown and self.first_token is None:
            self.first_token = time.monotonic()
            self.first_token_at = timezone.now()
        return shown

    def usage_so_far(self) -> tuple[int, int]:
        """Estimated tokens and cost up to now, for renewing the reservation."""
        completion = estimate_tokens(self.received)
        cost = self.price.cost(self.prompt_tokens, completion) if self.price else 0
        return self.prompt_tokens + completion, cost

    def outcome(self, status: str, reason: str = "", retry_after: int | None = None) -> Outcome:
        """How it ended. `retry_after` is in seconds."""
        usage, now = self.usage or self._estimated_usage(status), time.monotonic()
        price = self.price
        return Outcome(
            message_id=self.message_id,
            conversation_id=self.conversation_id,
            user_id=self.user_id,
            model=self.completion.model,
            status=status,
            reason=reason,
            content=self.text,
            reasoning=self.reasoning,
            retry_at=timezone.now() + dt.timedelta(seconds=retry_after) if retry_after else None,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            completion_tokens=usage.completion_tokens,
            reserved_tokens=self.reserved_tokens,
            reserved_cost=self.reserved_cost,
            cost=price.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if price else None,
            exact=usage.exact,
            first_token_at=self.first_token_at,
            first_token_ms=None if self.first_token is None else round((self.first_token - self.started) * 1000),
            duration_ms=round((now - self.started) * 1000),
            upstream_request_id=self.request_id,
        )

    def _estimated_usage(self, status: str) -> Usage:
        received = self.received
        if status in (Status.FAILED, Status.INTERRUPTED) and not received:
            return Usage(prompt_tokens=0, completion_tokens=0)
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=estimate_tokens(received),
            reasoning_tokens=estimate_tokens(self.reasoning),
            exact=False,
        )
