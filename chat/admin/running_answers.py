"""The running answers, and how an admin stops one."""

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
from chat.accounts.http import AuthenticatedHttpRequest
from chat.admin.pages import SEE_USAGE, STOP_ANSWERS, log_change, render_page, require_permissions
from chat.answers import stop_for_admin
from chat.infra import formatting
from chat.models import Message, ServerProcess, Status

MAX_SHOWN = 200
REFRESH_SECONDS = 5
CHARACTERS_PER_TOKEN = 4


@require_permissions(SEE_USAGE)
@require_safe
def running_answers_page(request: HttpRequest) -> HttpResponse:
    """The running answers; the page reloads itself unless `?paused` is given."""
    answers = list_running_answers()
    is_paused = "paused" in request.GET
    response = render_page(
        request,
        "live",
        _("Running answers"),
        answers=answers[:MAX_SHOWN],
        count=len(answers),
        hidden=max(len(answers) - MAX_SHOWN, 0),
        people=len({answer.user_id for answer in answers}),
        tokens=formatting.short_number(sum(answer.token_count for answer in answers)),
        paused=is_paused,
        every=REFRESH_SECONDS,
        at=timezone.now(),
    )
    if not is_paused:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


@require_permissions(SEE_USAGE, STOP_ANSWERS)
@require_POST
def stop(request: AuthenticatedHttpRequest, message_id: uuid.UUID) -> HttpResponse:
    """Stop an answer of any user, and return to the page that the form was on."""
    try:
        answer = async_to_sync(stop_for_admin)(message_id)
    except errors.NotFound:
        raise Http404 from None
    user = answer.conversation.user
    log_change(request, user, f"Stopped the answer {answer.pk}.")
    messages.success(request, _("The answer of %(name)s will stop.") % {"name": user.get_username()})
    if request.POST.get("back") == "person":
        return HttpResponseRedirect(reverse("admin:chat_user_limits", args=(user.pk,)))
    return HttpResponseRedirect(reverse("admin:chat_live"))


@dataclass(frozen=True, kw_only=True)
class RunningAnswer:
    """One running answer, without its text.

    `token_count` is an estimate. `stale` means that its process sends no heartbeats. The other numbers are
    formatted.
    """

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
    reserved_tokens: str
    reserved_cost: str
    process: str
    stale: bool


def list_running_answers(**filters: Any) -> list[RunningAnswer]:
    """All running answers that match, the oldest first. One query, which reads the length of the text only."""
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
    return [_running_answer(row, now) for row in rows]


def _running_answer(row: Mapping[str, Any], now: dt.datetime) -> RunningAnswer:
    tokens = (row["prompt_tokens"] or 0) + -(-row["characters"] // CHARACTERS_PER_TOKEN)
    heartbeat = row["owner__heartbeat_at"]
    return RunningAnswer(
        id=row["pk"],
        user_id=row["conversation__user_id"],
        username=row["conversation__user__username"],
        model=row["model"],
        status=str(Status(row["status"]).label),
        age=formatting.age(row["created_at"], now),
        waiting=row["status"] == Status.PENDING,
        stopping=row["stop_requested"],
        tokens=formatting.number(tokens),
        token_count=tokens,
        reserved_tokens=formatting.number(row["reserved_tokens"]),
        reserved_cost=formatting.dollars(row["reserved_cost"]),
        process=f"{row['owner__host']}:{row['owner__pid']}" if heartbeat else "–",
        stale=heartbeat is None or now - heartbeat > ServerProcess.STALE_AFTER,
    )


def without_running_answer(reservation_ids: Sequence[str], answers: Sequence[RunningAnswer]) -> list[str]:
    """The ids of reservations whose answer has ended or was deleted. They expire without being settled."""
    running = {str(answer.id) for answer in answers}
    return [reservation_id for reservation_id in reservation_ids if reservation_id not in running]
