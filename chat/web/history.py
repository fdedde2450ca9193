"""Long things in parts: a conversation as its reader scrolls up, the list of conversations as it scrolls down."""

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
from chat.streaming.presenter import Place
from chat.web import pages
from chat.web.decorators import get_conversation_or_404, login_required
from chat.web.forms import read_id
from chat.web.http import is_htmx


@require_GET
@login_required
def part(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The messages before or after one of the active branch, and where to get those beyond them."""
    conversation = get_conversation_or_404(request, conversation_id)
    before, after = (read_id(request.GET.get(name, "")) for name in ("before", "after"))
    if not is_htmx(request):
        return HttpResponseRedirect(f"{conversation.get_absolute_url()}?{request.META['QUERY_STRING']}")
    context = pages.part_context(request, conversation, conversation.message_page(before=before, after=after))
    context["has_older"] = context["has_older"] and after is None
    context["has_newer"] = context["has_newer"] and before is None
    return render(request, "chat/_part.html", context)


@require_GET
@login_required
def conversations(request: AuthenticatedHttpRequest) -> HttpResponse:
    place = _place(request)
    context = pages.sidebar_context(request, _shown(request), place)
    return render(request, "chat/_sidebar.html" if is_htmx(request) else "chat/conversations.html", context)


def _place(request: AuthenticatedHttpRequest) -> Place | None:
    """The beginning of the list where the address says nothing that can be understood."""
    conversation_id = read_id(request.GET.get("id", ""))
    try:
        moment = dt.datetime.fromisoformat(request.GET.get("before", ""))
        moment = moment if timezone.is_aware(moment) else moment.replace(tzinfo=dt.UTC)
        moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return Place(updated_at=moment, id=conversation_id) if conversation_id else None


def _shown(request: AuthenticatedHttpRequest) -> Conversation | None:
    """What the page that asks is showing, to mark it in the list."""
    try:
        match = resolve(urlsplit(request.headers.get("HX-Current-URL", "")).path)
    except (Resolver404, ValueError):
        return None
    if match.url_name != "conversation":
        return None
    return Conversation.objects.for_user(request.user).get_or_none(pk=match.kwargs["conversation_id"])
