"""One generation, from its first event to settled."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat import errors, metrics, notices, upstream
from chat.eventlog import EventLog
from chat.events import Delta, Failed, Finish, Finished, LogEvent, Opened, Reasoning, Started, UpstreamEvent, Usage
from chat.limits import limiter
from chat.limits.values import Rule
from chat.models import Message, ModelPrice, Status
from chat.models.usage import Outcome
from chat.text import clean_model_text, estimate_tokens
from chat.threads import in_database
from chat.upstream import CompletionRequest, stream_completion

logger = logging.getLogger(__name__)

FREE = ModelPrice(prompt=0, cached=0, completion=0)
SAVE_BACKOFF = (0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 3.0)
STATUS_OF = {
    "stop": Status.COMPLETE,
    "length": Status.TRUNCATED,
    "content_filter": Status.FILTERED,
    "refusal": Status.REFUSED,
}


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


class Interrupted(errors.ChatError):
    """This process had to let go of a running answer."""

    code = "restarted"
    sentence = _("The site was restarted. The answer so far is saved.")


class Broken(errors.ChatError):
    code = "internal"
    sentence = _("Something went wrong on this site. Your message is saved.")


class NotSaved(errors.ChatError):
    code = "not-saved"
    sentence = _("The answer was shown but could not be saved.")


@dataclass
class Run:
    """The state of one generation while it runs; the checkpoint reads it."""

    job: Job
    parts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    usage: Usage | None = None
    request_id: str = ""
    finish: Finish | None = None
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

    def take(self, events: Sequence[UpstreamEvent]) -> list[LogEvent]:
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
                case Finish():
                    self.finish = event
                case Opened(request_id=request_id):
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


def price_at(model: str, moment: dt.datetime) -> ModelPrice | None:
    """What a model costs at a moment; None where no price is known at all."""
    return FREE if upstream.is_demo() else ModelPrice.objects.at(model, moment)


async def generate(run: Run, log: EventLog) -> Outcome | None:
    """Relays one answer into its log, then saves and settles it, whatever happens.

    Returns the outcome if it could not be saved. Cancelling the task while it relays ends
    the upstream; with `run.stopping` set the answer counts as stopped by its person, else
    as interrupted by a restart. A task that has not begun must not be cancelled (its body
    would never run), nor one that concludes. A `refused` run asks nobody: its process is
    closing.
    """
    job = run.job
    log.open(job.message_id)
    log.append(job.message_id, [Started(message_id=str(job.message_id), model=job.request.model)])
    if job.prefix:
        log.append(job.message_id, [Delta(text=job.prefix)])
    failure: errors.ChatError | None = None
    run.phase = "relaying"
    try:
        if run.refused:
            failure = Interrupted()
        elif not run.stopping:
            await _relay(run, log)
    except asyncio.CancelledError:
        failure = None if run.stopping else Interrupted()
    except errors.ChatError as error:
        failure = error
    except Exception:
        logger.exception("generation broke", extra={"message_id": str(job.message_id)})
        failure = Broken()
    run.phase = "concluding"
    return await _conclude(run, log, failure)


async def _relay(run: Run, log: EventLog) -> None:
    async with aclosing(stream_completion(run.job.request)) as stream:
        async for events in stream:
            if shown := run.take(events):
                log.append(run.job.message_id, shown)
                if run.finish is None:
                    # What comes meanwhile is taken in one piece: waking for every token would cost more than all else.
                    await asyncio.sleep(log.rest(run.job.message_id))
    if run.finish is None:
        raise errors.UpstreamBroken
    if run.finish.reason in ("stop", "length") and not run.text[len(run.job.prefix) :]:
        raise errors.UpstreamEmpty


async def _conclude(run: Run, log: EventLog, failure: errors.ChatError | None) -> Outcome | None:
    outcome, last = _ending(run, failure)
    saved = await _save(outcome, seen=log.has_pages(run.job.message_id))
    _measure(outcome)
    refund = failure is not None and run.first_token is None
    await _settle(run.job, outcome, refund)
    if not saved:
        last = Failed(status=outcome.status, code=NotSaved.code, message=str(NotSaved.sentence))
    log.append(run.job.message_id, [last])
    await notices.changed(run.job.user_id, run.job.conversation_id)
    return None if saved else outcome


def _ending(run: Run, failure: errors.ChatError | None) -> tuple[Outcome, LogEvent]:
    if failure is not None:
        status = Status.INTERRUPTED if run.text else Status.FAILED
        outcome = run.outcome(status, failure.code, failure.retry_after)
        return outcome, Failed(
            status=status, code=failure.code, message=failure.message, retry_after=failure.retry_after
        )
    status = STATUS_OF[run.finish.reason] if run.finish else Status.STOPPED
    outcome = run.outcome(status)
    usage = Usage(
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        cached_tokens=outcome.cached_tokens,
        reasoning_tokens=outcome.reasoning_tokens,
        exact=outcome.exact,
    )
    return outcome, Finished(status=status, usage=usage)


def _measure(outcome: Outcome) -> None:
    metrics.booked(
        model=outcome.model,
        status=outcome.status,
        prompt=outcome.prompt_tokens,
        completion=outcome.completion_tokens,
        microdollars=outcome.cost,
        first_token_ms=outcome.first_token_ms,
        duration_ms=outcome.duration_ms,
    )
    logger.info(
        "generation %s",
        outcome.status,
        extra={
            "message_id": str(outcome.message_id),
            "conversation_id": str(outcome.conversation_id),
            "user_id": outcome.user_id,
            "error.type": outcome.reason,
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": outcome.model,
            "gen_ai.usage.input_tokens": outcome.prompt_tokens,
            "gen_ai.usage.output_tokens": outcome.completion_tokens,
            "gen_ai.response.id": outcome.upstream_request_id,
            "time_to_first_token_ms": outcome.first_token_ms or 0,
            "duration_ms": outcome.duration_ms or 0,
        },
    )


async def _save(outcome: Outcome, *, seen: bool) -> bool:
    for pause in (*SAVE_BACKOFF, None):
        try:
            await in_database(Message.objects.finish, outcome, seen=seen)
        except DatabaseError as error:
            if pause is None:
                logger.error("answer %s could not be saved: %s", outcome.message_id, type(error).__name__)
                return False
            await asyncio.sleep(pause)
        else:
            return True
    return False


async def _settle(job: Job, outcome: Outcome, refund: bool) -> None:
    try:
        await limiter.settle(
            job.subject,
            job.rules,
            lease_id=str(job.message_id),
            tokens=outcome.prompt_tokens + outcome.completion_tokens,
            cost=outcome.cost or 0,
            refund_request=refund,
        )
    except errors.LimiterDown:
        logger.warning("lease %s left to expire: the limiter is down", job.message_id)


def abandoned(message: Message, price: ModelPrice | None) -> Outcome:
    """The end of an answer whose process died, from what its last checkpoint holds.

    Its usage is an estimate: the hold says what the prompt took at most.
    """
    said = message.content[message.prefix_length :] + message.reasoning
    status = Status.INTERRUPTED if message.content else Status.FAILED
    prompt = message.prompt_tokens or 0
    outcome = Outcome(
        message_id=message.pk,
        conversation_id=message.conversation_id,
        user_id=message.conversation.user_id,
        model=message.model,
        status=status,
        reason=Interrupted.code,
        content=message.content,
        reasoning=message.reasoning,
        reserved_tokens=message.reserved_tokens,
        reserved_cost=message.reserved_cost,
        first_token_at=message.first_token_at,
        exact=not said,
    )
    if not said:
        return outcome
    completion = estimate_tokens(said)
    return replace(
        outcome,
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=estimate_tokens(message.reasoning),
        cost=price.cost(prompt, completion) if price else None,
    )
