"""Rename, delete and restore conversations."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from chat.accounts.http import AuthenticatedHttpRequest
from chat.models import ChatModel, Conversation, Message
from chat.web.decorators import get_conversation_or_404, is_htmx, login_required
from chat.web.forms import TitleForm
from chat.web.sidebar import sidebar_context


@require_POST
@login_required
def rename(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = get_conversation_or_404(request, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        conversation.title = form.clean_title()
        conversation.save(update_fields=("title",))
    if is_htmx(request):
        models = ChatModel.objects.allowed_to(request.user)
        context = {**sidebar_context(request.user, conversation), "models": models}
        return render(request, "chat/_renamed.html", context)
    return HttpResponseRedirect(conversation.get_absolute_url())


@require_POST
@login_required
def delete(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """A running answer is stopped: nobody will see it."""
    conversation = get_conversation_or_404(request, conversation_id)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=("deleted_at",))
    Message.objects.running().filter(conversation=conversation).update(stop_requested=True)
    messages.success(request, str(conversation.pk), extra_tags="deleted")
    return HttpResponseRedirect(reverse("home"))


@require_POST
@login_required
def undelete(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    own = Conversation.objects.filter(user=request.user, pk=conversation_id)
    if not own.update(deleted_at=None):
        raise Http404
    return HttpResponseRedirect(reverse("conversation", args=(conversation_id,)))
