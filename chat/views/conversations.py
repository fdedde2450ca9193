"""What people do to whole conversations."""

from __future__ import annotations

import uuid
from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from chat.forms import TitleForm
from chat.models import Conversation, User


def _mine(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.for_user(cast("User", request.user)).filter(pk=conversation_id).first()
    if found is None:
        raise Http404
    return found


@require_POST
@login_required
def rename(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = _mine(request, conversation_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        conversation.title = form.clean_title()
        conversation.save(update_fields=("title",))
    return HttpResponseRedirect(f"/c/{conversation.pk}/")


@require_POST
@login_required
def delete(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = _mine(request, conversation_id)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=("deleted_at",))
    return HttpResponseRedirect("/")
