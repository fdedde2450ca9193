"""More of what a page shows in parts: older messages of a conversation, older conversations of the list."""

from __future__ import annotations

import datetime as dt
import uuid
from urllib.parse import urlsplit

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.views.decorators.http import require_GET

from chat.accounts.http import AuthenticatedHttpRequest
from chat.models import Conversation
from chat.web.decorators import get_conversation_or_404, is_htmx, login_required
from chat.web.forms import read_id
from chat.web.pages import part_context
from chat.web.sidebar import ListPosition, sidebar_context


@require_GET
@login_required
def part(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The messages before or after one of the active branch, with links to those beyond them."""
    conversation = get_conversation_or_404(request, conversation_id)
    before, after = (read_id(request.GET.get(name, "")) for name in ("before", "after"))
    if not is_htmx(request):
        return HttpResponseRedirect(f"{conversation.get_absolute_url()}?{request.META['QUERY_STRING']}")
    context = part_context(request.user, conversation, conversation.message_page(before=before, after=after))
    context["has_older"] = context["has_older"] and after is None
    context["has_newer"] = context["has_newer"] and before is None
    return render(request, "chat/_part.html", context)


@require_GET
@login_required
def conversations(request: AuthenticatedHttpRequest) -> HttpResponse:
    context = sidebar_context(request.user, _shown(request), _position(request))
    return render(request, "chat/_sidebar.html" if is_htmx(request) else "chat/conversations.html", context)


def _position(request: AuthenticatedHttpRequest) -> ListPosition | None:
    """Where the list continues; None, its start, where the query parameters are missing or invalid."""
    conversation_id = read_id(request.GET.get("id", ""))
    try:
        moment = dt.datetime.fromisoformat(request.GET.get("before", ""))
        moment = moment if timezone.is_aware(moment) else moment.replace(tzinfo=dt.UTC)
        moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return ListPosition(updated_at=moment, id=conversation_id) if conversation_id else None


def _shown(request: AuthenticatedHttpRequest) -> Conversation | None:
    """The conversation that the requesting page shows: the list marks it."""
    try:
        match = resolve(urlsplit(request.headers.get("HX-Current-URL", "")).path)
    except (Resolver404, ValueError):
        return None
    if match.url_name != "conversation":
        return None
    return Conversation.objects.for_user(request.user).get_or_none(pk=match.kwargs["conversation_id"])
