"""Admins read a conversation of another user: with a permission and a reason, recorded and visible to its owner."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chat.accounts.http import AuthenticatedHttpRequest
from chat.admin.pages import READ_CONVERSATIONS, log_change, render_page, require_permissions
from chat.admin.read_only import ReadOnlyAdmin
from chat.models import Conversation, ConversationReading, Message, User
from chat.text import clean_text

MIN_REASON_LENGTH = 10
MAX_EARLIER = 20


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=lazy("Reason"),
        min_length=MIN_REASON_LENGTH,
        max_length=500,
        help_text=lazy("The reason is written to the admin log and shown to the owner of the conversation."),
        widget=forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"}),
    )

    def clean_reason(self) -> str:
        """Reject a reason of too few different characters, such as a row of dots."""
        reason = clean_text(self.cleaned_data["reason"]).strip()
        if len(set(reason)) < MIN_REASON_LENGTH // 2:
            raise forms.ValidationError(_("Give the reason in a few words."))
        return reason


@dataclass(frozen=True, kw_only=True)
class ShownMessage:
    who: str
    role: str
    at: datetime
    text: str


@sensitive_post_parameters()
@require_permissions(READ_CONVERSATIONS)
@require_http_methods(["GET", "POST"])
def read_conversation(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    """GET shows the form for the reason. Only a POST that was recorded shows the text."""
    conversation = get_object_or_404(Conversation.objects.select_related("user"), pk=conversation_id, deleted_at=None)
    form = ReasonForm(request.POST or None)
    messages = None
    if request.method == "POST" and form.is_valid():
        _record_access(request, conversation, form.cleaned_data["reason"])
        messages = [_shown(message, conversation.user) for message in conversation.active_branch()]
    return render_page(
        request,
        "reading",
        _("Read a conversation"),
        conversation=conversation,
        form=form,
        shown_messages=messages,
        earlier=ConversationReading.objects.for_conversation(conversation.pk)[:MAX_EARLIER],
    )


def _shown(message: Message, owner: User) -> ShownMessage:
    who = owner.get_username() if message.role == Message.Role.USER else str(message.get_role_display())
    return ShownMessage(who=who, role=message.role, at=message.created_at, text=message.content)


@transaction.atomic
def _record_access(request: AuthenticatedHttpRequest, conversation: Conversation, reason: str) -> None:
    ConversationReading.objects.create(
        conversation_id=conversation.pk,
        owner=conversation.user,
        reader=request.user,
        reader_name=request.user.get_username(),
        reason=reason,
    )
    log_change(request, conversation, f"Read the conversation. Reason: {reason}")


@admin.register(ConversationReading)
class ConversationReadingAdmin(ReadOnlyAdmin):
    list_display = ("read_at", "reader_name", "owner", "conversation_id", "reason")
    fields = list_display
    search_fields = ("reader_name", "owner__username", "reason")
    list_select_related = ("owner",)
    show_full_result_count = False

    class Media:
        css = {"all": ("chat/admin.css",)}

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view(read_conversation)
        return [path("read/<uuid:conversation_id>/", view, name="chat_read"), *super().get_urls()]
