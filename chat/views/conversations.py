"""What people do to whole conversations."""

from __future__ import annotations

import uuid
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
from chat.views.guard import logged_in_only, own_conversation


@require_POST
@logged_in_only
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = own_conversation(request, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        conversation.title = form.clean_title()
        conversation.save(update_fields=("title",))
    if is_htmx(request):
        context = {**pages.sidebar_context(request, conversation), "models": pages.models_for(request)}
        return render(request, "chat/_renamed.html", context)
    return HttpResponseRedirect(conversation.address)


@require_POST
@logged_in_only
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Also asks a running answer to stop: nobody will see it."""
    conversation = own_conversation(request, conversation_id)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=("deleted_at",))
    Message.objects.running().filter(conversation=conversation).update(stop_requested=True)
    messages.success(request, str(conversation.pk), extra_tags="deleted")
    return HttpResponseRedirect("/")


@require_POST
@logged_in_only
def undelete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    mine = Conversation.objects.filter(user=cast("User", request.user), pk=conversation_id)
    if not mine.exists():
        raise Http404
    mine.update(deleted_at=None)
    return HttpResponseRedirect(f"/c/{conversation_id}/")
