"""Reading another person's conversation: with a right, with a reason, and never in secret."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chat.admin.ledger import ReadOnly
from chat.admin.pages import READ_CONVERSATIONS, needs, note, show
from chat.models import Conversation, ConversationReading, Message, User
from chat.text import clean_text

SHORTEST_REASON = 10


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=lazy("Reason"),
        min_length=SHORTEST_REASON,
        max_length=500,
        help_text=lazy("Goes into the admin log, and the owner of the conversation sees it."),
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
    )

    def clean_reason(self) -> str:
        reason = clean_text(self.cleaned_data["reason"]).strip()
        if len(set(reason)) < SHORTEST_REASON // 2:
            raise forms.ValidationError(_("Say in a few words why."))
        return reason


@sensitive_post_parameters()
@needs(READ_CONVERSATIONS)
@require_http_methods(["GET", "POST"])
def read(request: HttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """The form first; the text is only ever the answer to a POST that was written down."""
    found = get_object_or_404(Conversation.objects.select_related("user"), pk=conversation_id, deleted_at=None)
    form = ReasonForm(request.POST or None)
    messages = None
    if request.method == "POST" and form.is_valid():
        _write_down(request, found, form.cleaned_data["reason"])
        messages = [_said(message, found.user) for message in found.active_branch()]
    return show(
        request,
        "reading",
        _("Read a conversation"),
        conversation=found,
        form=form,
        said=messages,
        earlier=ConversationReading.objects.for_conversation(found.pk)[:20],
    )


def _said(message: Message, owner: User) -> dict[str, Any]:
    who = owner.get_username() if message.role == Message.Role.USER else message.get_role_display()
    return {"who": who, "role": message.role, "at": message.created_at, "text": message.content}


@transaction.atomic
def _write_down(request: HttpRequest, conversation: Conversation, reason: str) -> None:
    reader = cast("User", request.user)
    ConversationReading.objects.create(
        conversation_id=conversation.pk,
        owner=conversation.user,
        reader=reader,
        reader_name=reader.get_username(),
        reason=reason,
    )
    note(request, conversation, f"Read the conversation. Reason: {reason}")


@admin.register(ConversationReading)
class ConversationReadingAdmin(ReadOnly):
    list_display = ("read_at", "reader_name", "owner", "conversation_id", "reason")
    fields = list_display
    search_fields = ("reader_name", "owner__username", "reason")
    list_select_related = ("owner",)
    show_full_result_count = False

    class Media:
        css = {"all": ("chat/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view(read)
        return [path("read/<uuid:conversation_id>/", view, name="chat_read"), *super().get_urls()]
