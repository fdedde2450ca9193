"""The answers that are being made right now, and how an admin ends one."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.db.models.functions import Length
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chat import errors
from chat.admin.pages import SEE_USAGE, STOP_ANSWERS, needs, note, show
from chat.answers import start
from chat.models import Message, ServerProcess, Status
from chat.usage import formatting as words

SHOWN = 200
REFRESH = 5
CHARACTERS_A_TOKEN = 4


@needs(SEE_USAGE)
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    running = running_answers()
    paused = "paused" in request.GET
    response = show(
        request,
        "live",
        _("Running answers"),
        answers=running[:SHOWN],
        count=len(running),
        hidden=max(len(running) - SHOWN, 0),
        people=len({answer.user_id for answer in running}),
        tokens=words.short(sum(answer.token_count for answer in running)),
        paused=paused,
        every=REFRESH,
        at=timezone.now(),
    )
    if not paused:
        response.headers["Refresh"] = str(REFRESH)
    return response


@needs(SEE_USAGE, STOP_ANSWERS)
@require_POST
def stop(request: HttpRequest, message_id: uuid.UUID) -> HttpResponse:
    try:
        answer = async_to_sync(start.stop_for_admin)(message_id)
    except errors.NotFound:
        raise Http404 from None
    person = answer.conversation.user
    note(request, person, f"Stopped the answer {answer.pk}.")
    messages.success(request, _("Asked the answer of %(name)s to stop.") % {"name": person.get_username()})
    if request.POST.get("back") == "person":
        return HttpResponseRedirect(reverse("admin:chat_user_limits", args=(person.pk,)))
    return HttpResponseRedirect(reverse("admin:chat_live"))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One running answer, without a word of it."""

    id: uuid.UUID
    user_id: int
    username: str
    model: str
    status: str
    age: str
    waiting: bool
    stopping: bool
    tokens: str
    token_count: int
    held_tokens: str
    held_cost: str
    process: str
    stale: bool


def running_answers(**filters: Any) -> list[Answer]:
    """The longest running first; the text stays in the database."""
    rows = (
        Message.objects.running()
        .filter(role=Message.Role.ASSISTANT, **filters)
        .order_by("created_at", "pk")
        .values(
            "pk", "model", "status", "created_at", "prompt_tokens", "reserved_tokens", "reserved_cost",
            "stop_requested", "conversation__user_id", "conversation__user__username",
            "owner__host", "owner__pid", "owner__heartbeat_at",
            characters=Length("content") + Length("reasoning"),
        )
    )  # fmt: skip
    now = timezone.now()
    return [_answer(row, now) for row in rows]


def _answer(row: Mapping[str, Any], now: dt.datetime) -> Answer:
    tokens = (row["prompt_tokens"] or 0) + -(-row["characters"] // CHARACTERS_A_TOKEN)
    beat = row["owner__heartbeat_at"]
    return Answer(
        id=row["pk"],
        user_id=row["conversation__user_id"],
        username=row["conversation__user__username"],
        model=row["model"],
        status=str(Status(row["status"]).label),
        age=words.ago(row["created_at"], now),
        waiting=row["status"] == Status.PENDING,
        stopping=row["stop_requested"],
        tokens=words.count(tokens),
        token_count=tokens,
        held_tokens=words.count(row["reserved_tokens"]),
        held_cost=words.dollars(row["reserved_cost"]),
        process=f"{row['owner__host']}:{row['owner__pid']}" if beat else "–",
        stale=beat is None or now - beat > ServerProcess.STALE_AFTER,
    )


def without_answer(lease_ids: Sequence[str], answers: Sequence[Answer]) -> list[str]:
    """Leases whose answer has ended or is gone: they run out by themselves."""
    known = {str(answer.id) for answer in answers}
    return [lease_id for lease_id in lease_ids if lease_id not in known]
