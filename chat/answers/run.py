"""The state of one generation: what was asked for, and what has come of it so far."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from django.utils import timezone

from chat.events import Delta, LogEvent, ProviderEvent, Reasoning, StreamFinished, StreamOpened, Usage
from chat.limits.values import Rule
from chat.models import ModelPrice, Outcome, Status
from chat.providers import CompletionRequest
from chat.text import clean_model_text, estimate_tokens


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one generation needs; `prefix` is text that an earlier, unfinished answer already gave."""

    message_id: uuid.UUID
    conversation_id: uuid.UUID
    user_id: int
    subject: str
    rules: tuple[Rule, ...]
    request: CompletionRequest
    prompt_tokens: int
    reserved_tokens: int
    reserved_cost: int
    price: ModelPrice | None
    prefix: str = ""


@dataclass
class Run:
    """The state of one generation while it runs; the checkpoint reads it."""

    job: Job
    parts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    usage: Usage | None = None
    request_id: str = ""
    finish: StreamFinished | None = None
    begun: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    first_token_at: dt.datetime | None = None
    phase: Literal["new", "relaying", "concluding"] = "new"
    stopping: bool = False
    refused: bool = False
    saved: int = 0

    def __post_init__(self) -> None:
        if self.job.prefix:
            self.parts.append(self.job.prefix)

    @property
    def text(self) -> str:
        if len(self.parts) > 1:
            self.parts[:] = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def reasoning(self) -> str:
        return "".join(self.thoughts)

    @property
    def said(self) -> str:
        """Everything this generation was charged for."""
        return self.text[len(self.job.prefix) :] + self.reasoning

    def unsaved(self) -> bool:
        return self.saved != len(self.text) + len(self.reasoning)

    def tokens_so_far(self) -> int:
        return self.job.prompt_tokens + estimate_tokens(self.said)

    def take(self, events: Sequence[ProviderEvent]) -> list[LogEvent]:
        """Notes what came; returns what viewers are to see of it."""
        shown: list[LogEvent] = []
        for event in events:
            match event:
                case Delta(text=text):
                    cleaned = Delta(text=clean_model_text(text))
                    self.parts.append(cleaned.text)
                    shown.append(cleaned)
                case Reasoning(text=text):
                    thought = Reasoning(text=clean_model_text(text))
                    self.thoughts.append(thought.text)
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

    def outcome(self, status: str, reason: str = "", retry_after: int | None = None) -> Outcome:
        usage = self.usage or self._estimate(status)
        job = self.job
        cost = job.price.cost(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) if job.price else None
        retry_at = timezone.now() + dt.timedelta(seconds=retry_after) if retry_after else None
        return Outcome(
            message_id=job.message_id,
            conversation_id=job.conversation_id,
            user_id=job.user_id,
            model=job.request.model,
            status=status,
            reason=reason,
            content=self.text,
            reasoning=self.reasoning,
            retry_at=retry_at,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            completion_tokens=usage.completion_tokens,
            reserved_tokens=job.reserved_tokens,
            reserved_cost=job.reserved_cost,
            cost=cost,
            exact=usage.exact,
            first_token_at=self.first_token_at,
            first_token_ms=self._milliseconds(self.first_token),
            duration_ms=self._milliseconds(time.monotonic()),
            upstream_request_id=self.request_id,
        )

    def _estimate(self, status: str) -> Usage:
        if status in (Status.FAILED, Status.INTERRUPTED) and not self.said:
            return Usage(prompt_tokens=0, completion_tokens=0)
        return Usage(
            prompt_tokens=self.job.prompt_tokens,
            completion_tokens=estimate_tokens(self.said),
            reasoning_tokens=estimate_tokens(self.reasoning),
            exact=False,
        )

    def _milliseconds(self, moment: float | None) -> int | None:
        return None if moment is None else round((moment - self.begun) * 1000)
