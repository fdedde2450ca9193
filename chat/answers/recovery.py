"""End answers whose server process has died, and settle what it left."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import uuid
from collections.abc import Collection
from dataclasses import replace

from chat import errors
from chat.answers.liveness import Liveness
from chat.limits import limiter
from chat.models import Message, MessageQuerySet, ModelPrice, Outcome, ServerProcess, Status, UsageRecord
from chat.text import estimate_tokens
from chat.usage import prices

logger = logging.getLogger(__name__)

SETTLE_WINDOW = dt.timedelta(seconds=20)
"""Around the last heartbeat of a dead process: answers that ended in it may not have been settled."""


def outcome_of(message: Message, price: ModelPrice | None) -> Outcome:
    """The end of an answer whose process died, from its last checkpoint. Usage is an estimate."""
    received = message.content[message.prefix_length :] + message.reasoning
    outcome = Outcome(
        message_id=message.pk,
        conversation_id=message.conversation_id,
        user_id=message.conversation.user_id,
        model=message.model,
        status=Status.INTERRUPTED if message.content else Status.FAILED,
        reason=errors.Interrupted.code,
        content=message.content,
        reasoning=message.reasoning,
        reserved_tokens=message.reserved_tokens,
        reserved_cost=message.reserved_cost,
        first_token_at=message.first_token_at,
        exact=not received,
    )
    if not received:
        return outcome
    prompt, completion = message.prompt_tokens or 0, estimate_tokens(received)
    return replace(
        outcome,
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=estimate_tokens(message.reasoning),
        cost=price.cost(prompt, completion) if price else None,
    )


def recover(messages: MessageQuerySet, liveness: Liveness, lost: Collection[uuid.UUID] = ()) -> list[Outcome]:
    """End those running answers whose process is dead, or that are `lost`. Answers of live processes are not touched.

    Any number of processes may do this at the same time: one of them writes the ledger row.
    """
    ended = []
    for message in messages.running().select_related("conversation", "owner").order_by("created_at"):
        if message.pk not in lost and not liveness.is_dead(message.owner):
            continue
        outcome = outcome_of(message, prices.at(message.model, message.created_at))
        if Message.objects.finish(outcome):
            ended.append(outcome)
            settle(outcome)
    return ended


def settle_dead_processes(liveness: Liveness) -> None:
    """Settle the last ledger rows of dead processes: one may have died between its ledger row and the settling.

    A reservation that was settled is not changed.
    """
    for row in ServerProcess.objects.exclude(pk__in=liveness.settled):
        if not liveness.is_dead(row):
            continue
        window = (row.heartbeat_at - SETTLE_WINDOW, row.heartbeat_at + SETTLE_WINDOW)
        for record in UsageRecord.objects.filter(created_at__range=window, user__isnull=False):
            _settle_record(record)
        liveness.settled.add(row.pk)


def _settle_record(record: UsageRecord) -> None:
    with contextlib.suppress(errors.LimiterUnavailable):
        limiter.current().settle_sync(
            f"user:{record.user_id}",
            reservation_id=str(record.message_id),
            tokens=record.prompt_tokens + record.completion_tokens,
            cost=record.cost or 0,
            refund_request=record.status == Status.FAILED and record.first_token_ms is None,
        )


def settle(outcome: Outcome) -> None:
    """Settle the reservation of an ended answer, without an event loop."""
    try:
        limiter.current().settle_sync(
            f"user:{outcome.user_id}",
            reservation_id=str(outcome.message_id),
            tokens=outcome.prompt_tokens + outcome.completion_tokens,
            cost=outcome.cost or 0,
            refund_request=not outcome.completion_tokens,
        )
    except errors.LimiterUnavailable:
        logger.warning("reservation %s is left to expire: the limiter is unavailable", outcome.message_id)
