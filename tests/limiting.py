"""What several tests of the limiter use."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterable

from django.db import transaction

from chat.models import Outcome, UsageRecord, User


def spend(user: User, tokens: int) -> None:
    """Write a row into the usage ledger."""
    outcome = Outcome(
        message_id=uuid.uuid4(),
        conversation_id=uuid.uuid4(),
        user_id=user.pk,
        model="m",
        status="complete",
        prompt_tokens=tokens,
    )
    with transaction.atomic():
        UsageRecord.objects.record(outcome)


def most_in_any(times: Iterable[int], length: int) -> int:
    """The largest number of times within any half-open interval of this length."""
    recent: deque[int] = deque()
    most = 0
    for time in times:
        recent.append(time)
        while recent[0] <= time - length:
            recent.popleft()
        most = max(most, len(recent))
    return most
