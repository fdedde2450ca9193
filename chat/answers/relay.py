"""Relay one generation from the provider into the event log, then save and settle it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from django.db import DatabaseError

from chat import errors
from chat.answers.generation import Generation
from chat.eventlog import EventLog
from chat.events import Delta, Failed, Finished, FinishReason, LogEvent, Started, Usage
from chat.infra import metrics, notifications
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter
from chat.models import Message, Outcome, Status
from chat.providers import stream_completion

logger = logging.getLogger(__name__)

SAVE_RETRIES = (0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 3.0)
"""Seconds to wait between attempts to save an ended answer."""
STATUS_BY_REASON: dict[FinishReason, Status] = {
    "stop": Status.COMPLETE,
    "length": Status.TRUNCATED,
    "content_filter": Status.FILTERED,
    "refusal": Status.REFUSED,
}


async def generate(generation: Generation, log: EventLog) -> Outcome | None:
    """Relay, save and settle. Returns the outcome where it could not be saved, else None.

    Cancelling the task while it relays closes the provider's stream; the answer then counts as stopped if
    `generation.stopping` is set, else as interrupted. Do not cancel a task in another phase: a new one would never
    run, and one that is ending would not be saved.
    """
    message_id = generation.message_id
    first: list[LogEvent] = [Started(message_id=str(message_id), model=generation.completion.model)]
    if generation.prefix:
        first.append(Delta(text=generation.prefix))
    log.append(message_id, first)
    failure: errors.ChatError | None = None
    generation.phase = "relaying"
    try:
        if generation.refused:
            failure = errors.Interrupted()
        elif not generation.stopping:
            await _relay(generation, log)
    except asyncio.CancelledError:
        failure = None if generation.stopping else errors.Interrupted()
    except errors.ChatError as error:
        failure = error
    except Exception:
        logger.exception("a generation failed", extra={"message_id": str(message_id)})
        failure = errors.InternalError()
    generation.phase = "ending"
    return await _end(generation, log, failure)


async def _relay(generation: Generation, log: EventLog) -> None:
    async with aclosing(stream_completion(generation.completion)) as stream:
        async for events in stream:
            if shown := generation.add(events):
                log.append(generation.message_id, shown)
                if generation.finish is None:
                    # What arrives meanwhile is read in one piece: waking for every token would cost more than the rest.
                    await asyncio.sleep(log.seconds_until_wanted(generation.message_id))
    if generation.finish is None:
        raise errors.ProviderInterrupted
    if generation.finish.reason in ("stop", "length") and not generation.text[len(generation.prefix) :]:
        raise errors.EmptyAnswer


async def _end(generation: Generation, log: EventLog, failure: errors.ChatError | None) -> Outcome | None:
    outcome, last = _outcome(generation, failure)
    saved = await _save(outcome, seen=log.has_pages(generation.message_id))
    _report(outcome)
    await _settle(generation, outcome, refund_request=failure is not None and generation.first_token is None)
    if not saved:
        last = Failed(status=outcome.status, code=errors.NotSaved.code, message=str(errors.NotSaved.default_message))
    log.append(generation.message_id, [last])
    notifications.publish_change(generation.user_id, generation.conversation_id)
    return None if saved else outcome


def _outcome(generation: Generation, failure: errors.ChatError | None) -> tuple[Outcome, LogEvent]:
    """How the generation ended, and the last event of its log."""
    if failure is not None:
        status = Status.INTERRUPTED if generation.text else Status.FAILED
        failed = Failed(status=status, code=failure.code, message=failure.message, retry_after=failure.retry_after)
        return generation.outcome(status, failure.code, failure.retry_after), failed
    status = STATUS_BY_REASON[generation.finish.reason] if generation.finish else Status.STOPPED
    outcome = generation.outcome(status)
    usage = Usage(
        prompt_tokens=outcome.prompt_tokens,
        completion_tokens=outcome.completion_tokens,
        cached_tokens=outcome.cached_tokens,
        reasoning_tokens=outcome.reasoning_tokens,
        exact=outcome.exact,
    )
    return outcome, Finished(status=status, usage=usage)


async def _save(outcome: Outcome, *, seen: bool) -> bool:
    """Write the message and its ledger row; False where the database did not accept them for about ten seconds."""
    for pause in (*SAVE_RETRIES, None):
        try:
            await run_in_db_thread(Message.objects.finish, outcome, seen=seen)
        except DatabaseError as error:
            if pause is None:
                logger.error("answer %s could not be saved: %s", outcome.message_id, type(error).__name__)
                return False
            await asyncio.sleep(pause)
        else:
            return True
    return False


async def _settle(generation: Generation, outcome: Outcome, *, refund_request: bool) -> None:
    try:
        await limiter.current().settle(
            generation.subject,
            reservation_id=str(generation.message_id),
            tokens=outcome.prompt_tokens + outcome.completion_tokens,
            cost=outcome.cost or 0,
            refund_request=refund_request,
        )
    except errors.LimiterUnavailable:
        logger.warning("reservation %s is left to expire: the limiter is unavailable", generation.message_id)


def _report(outcome: Outcome) -> None:
    """Metrics and one log line; never text."""
    metrics.record_generation(
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
