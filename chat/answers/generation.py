"""One generation, from its first event to settled."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from django.db import DatabaseError

from chat import errors
from chat.answers.run import Job, Run
from chat.eventlog import EventLog
from chat.events import Delta, Failed, Finished, LogEvent, Started, Usage
from chat.infra import metrics, notifications
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter
from chat.models import Message, Outcome, Status
from chat.providers import stream_completion

logger = logging.getLogger(__name__)

SAVE_BACKOFF = (0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 3.0)
STATUS_OF = {
    "stop": Status.COMPLETE,
    "length": Status.TRUNCATED,
    "content_filter": Status.FILTERED,
    "refusal": Status.REFUSED,
}


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
            failure = errors.Interrupted()
        elif not run.stopping:
            await _relay(run, log)
    except asyncio.CancelledError:
        failure = None if run.stopping else errors.Interrupted()
    except errors.ChatError as error:
        failure = error
    except Exception:
        logger.exception("generation broke", extra={"message_id": str(job.message_id)})
        failure = errors.InternalError()
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
        raise errors.ProviderInterrupted
    if run.finish.reason in ("stop", "length") and not run.text[len(run.job.prefix) :]:
        raise errors.EmptyAnswer


async def _conclude(run: Run, log: EventLog, failure: errors.ChatError | None) -> Outcome | None:
    outcome, last = _ending(run, failure)
    saved = await _save(outcome, seen=log.has_pages(run.job.message_id))
    _measure(outcome)
    refund = failure is not None and run.first_token is None
    await _settle(run.job, outcome, refund)
    if not saved:
        last = Failed(status=outcome.status, code=errors.NotSaved.code, message=str(errors.NotSaved.sentence))
    log.append(run.job.message_id, [last])
    await notifications.publish_change(run.job.user_id, run.job.conversation_id)
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


async def _save(outcome: Outcome, *, seen: bool) -> bool:
    for pause in (*SAVE_BACKOFF, None):
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
    except errors.LimiterUnavailable:
        logger.warning("lease %s left to expire: the limiter is down", job.message_id)
