"""What people do to whole conversations."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST

from chat.forms import TitleForm
from chat.http import is_htmx
from chat.models import Conversation, Message, User
from chat.views import pages
from chat.views.guard import to_login

View = Callable[[HttpRequest, uuid.UUID], HttpResponse]


def _person_only(view: View) -> View:
    @functools.wraps(view)
    def wrapped(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
        return view(request, conversation_id) if request.user.is_authenticated else to_login(request)

    return wrapped


def _mine(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.for_user(cast("User", request.user)).filter(pk=conversation_id).first()
    if found is None:
        raise Http404
    return found


@require_POST
@_person_only
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = _mine(request, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        conversation.title = form.clean_title()
        conversation.save(update_fields=("title",))
    if is_htmx(request):
        return render(request, "chat/_renamed.html", pages.sidebar_context(request, conversation))
    return HttpResponseRedirect(f"/c/{conversation.pk}/")


@require_POST
@_person_only
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Also asks a running answer to stop: nobody will see it."""
    conversation = _mine(request, conversation_id)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=("deleted_at",))
    Message.objects.running().filter(conversation=conversation).update(stop_requested=True)
    messages.success(request, str(conversation.pk), extra_tags="deleted")
    return HttpResponseRedirect("/")


@require_POST
@_person_only
def undelete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    mine = Conversation.objects.filter(user=cast("User", request.user), pk=conversation_id)
    if not mine.exists():
        raise Http404
    mine.update(deleted_at=None)
    return HttpResponseRedirect(f"/c/{conversation_id}/")
