"""What people do to whole conversations."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST

from chat.accounts.http import AuthenticatedHttpRequest
from chat.models import Conversation, Message
from chat.web import pages
from chat.web.decorators import get_conversation_or_404, login_required
from chat.web.forms import TitleForm
from chat.web.http import is_htmx


@require_POST
@login_required
def rename(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = get_conversation_or_404(request, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        conversation.title = form.clean_title()
        conversation.save(update_fields=("title",))
    if is_htmx(request):
        context = {**pages.sidebar_context(request, conversation), "models": pages.models_for(request)}
        return render(request, "chat/_renamed.html", context)
    return HttpResponseRedirect(conversation.get_absolute_url())


@require_POST
@login_required
def delete(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """Also asks a running answer to stop: nobody will see it."""
    conversation = get_conversation_or_404(request, conversation_id)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=("deleted_at",))
    Message.objects.running().filter(conversation=conversation).update(stop_requested=True)
    messages.success(request, str(conversation.pk), extra_tags="deleted")
    return HttpResponseRedirect("/")


@require_POST
@login_required
def undelete(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    mine = Conversation.objects.filter(user=request.user, pk=conversation_id)
    if not mine.exists():
        raise Http404
    mine.update(deleted_at=None)
    return HttpResponseRedirect(f"/c/{conversation_id}/")
