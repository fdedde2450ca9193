"""Which server processes are alive, and the end of answers whose process is not."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import socket
import time
import uuid
from collections.abc import Collection
from dataclasses import replace

from django.utils import timezone

from chat import errors
from chat.limits import limiter
from chat.models import Message, MessageQuerySet, ModelPrice, Outcome, ServerProcess, Status, UsageRecord
from chat.text import estimate_tokens
from chat.usage import prices

logger = logging.getLogger(__name__)

SECOND_LOOK = 8.0
NEAR_DEATH = dt.timedelta(seconds=20)
FORGET_AFTER = 10 * ServerProcess.STALE_AFTER

_OURS: set[uuid.UUID] = set()


def machine() -> str:
    """Where a process number means something: this host and, in a container, its own numbering."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def register(process_id: uuid.UUID) -> None:
    ServerProcess.objects.create(pk=process_id, host=machine(), pid=os.getpid())
    _OURS.add(process_id)


def unregister(process_id: uuid.UUID) -> None:
    _OURS.discard(process_id)
    ServerProcess.objects.filter(pk=process_id).delete()


def heartbeat(process_id: uuid.UUID) -> None:
    now = timezone.now()
    _row, created = ServerProcess.objects.update_or_create(
        pk=process_id, defaults={"heartbeat_at": now, "host": machine(), "pid": os.getpid()}
    )
    if created:
        logger.warning("the row of this process was gone; made anew")
    ServerProcess.objects.filter(heartbeat_at__lt=now - FORGET_AFTER, messages=None).delete()


class Roll:
    """What this process has seen of the others.

    A heartbeat that is merely old proves nothing: after the database was away those of
    all processes are. It has to stay where it is until a second look.
    """

    def __init__(self, second_look: float = SECOND_LOOK) -> None:
        self.second_look = second_look
        self.settled: set[uuid.UUID] = set()
        self._suspects: dict[uuid.UUID, tuple[dt.datetime, float]] = {}

    @property
    def is_unsure(self) -> bool:
        """Whether a second look, `second_look` seconds later, may find more dead."""
        return bool(self._suspects)

    def is_dead(self, process: ServerProcess | None) -> bool:
        if process is None:
            return True
        if process.pk in _OURS:
            return False
        return _is_gone(process) or self._stands_still(process)

    def _stands_still(self, process: ServerProcess) -> bool:
        if timezone.now() - process.heartbeat_at <= ServerProcess.STALE_AFTER:
            self._suspects.pop(process.pk, None)
            return False
        beat, since = self._suspects.setdefault(process.pk, (process.heartbeat_at, time.monotonic()))
        if beat != process.heartbeat_at:
            self._suspects[process.pk] = (process.heartbeat_at, time.monotonic())
            return False
        return time.monotonic() - since >= self.second_look


def _is_gone(process: ServerProcess) -> bool:
    """Whether this machine says that there is no such process, or that its number is now ours."""
    if process.host != machine():
        return False
    if process.pid == os.getpid():
        return True
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


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
        reason=errors.Interrupted.code,
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


def recover(messages: MessageQuerySet, roll: Roll, lost: Collection[uuid.UUID] = ()) -> list[Outcome]:
    """Closes those running answers whose process is gone, or that are `lost`; live ones are not touched.

    Any number of processes may do so at the same time: one of them books.
    """
    closed = []
    for message in messages.running().select_related("conversation", "owner").order_by("created_at"):
        if message.pk not in lost and not roll.is_dead(message.owner):
            continue
        outcome = abandoned(message, prices.at(message.model, message.created_at))
        if Message.objects.finish(outcome):
            closed.append(outcome)
            settle(outcome)
    return closed


def settle_for_the_dead(roll: Roll) -> None:
    """Settles what dead processes booked last: one may have died between its ledger row and this.

    Where a lease was settled, nothing happens.
    """
    for process in ServerProcess.objects.exclude(pk__in=roll.settled):
        if not roll.is_dead(process):
            continue
        last = (process.heartbeat_at - NEAR_DEATH, process.heartbeat_at + NEAR_DEATH)
        for record in UsageRecord.objects.filter(created_at__range=last, user__isnull=False):
            _settle_record(record)
        roll.settled.add(process.pk)


def _settle_record(record: UsageRecord) -> None:
    with contextlib.suppress(errors.LimiterUnavailable):
        limiter.settle_sync(
            f"user:{record.user_id}",
            lease_id=str(record.message_id),
            tokens=record.prompt_tokens + record.completion_tokens,
            cost=record.cost or 0,
            refund_request=record.status == Status.FAILED and record.first_token_ms is None,
        )


def settle(outcome: Outcome) -> None:
    try:
        limiter.settle_sync(
            f"user:{outcome.user_id}",
            lease_id=str(outcome.message_id),
            tokens=outcome.prompt_tokens + outcome.completion_tokens,
            cost=outcome.cost or 0,
            refund_request=not outcome.completion_tokens,
        )
    except errors.LimiterUnavailable:
        logger.warning("lease %s left to expire: the limiter is down", outcome.message_id)
