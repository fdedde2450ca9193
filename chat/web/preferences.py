"""A user's settings, sessions and API keys, and the settings of one conversation."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from chat import errors
from chat.accounts import api_keys
from chat.accounts.http import AuthenticatedHttpRequest
from chat.models import ChatModel, Conversation, ConversationReading, Message
from chat.web.decorators import get_conversation_or_404, login_required
from chat.web.forms import ConversationForm, SettingsForm

MAX_READINGS = 20
CONFIRMATION = "delete"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def settings(request: AuthenticatedHttpRequest) -> HttpResponse:
    user = request.user
    form = SettingsForm(request.POST or None, instance=user, models=ChatModel.objects.allowed_to(user))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return HttpResponseRedirect(reverse("settings"))
    if form.errors:
        user.refresh_from_db()
    return _page(request, form=form, status=422 if form.errors else 200)


def _page(request: AuthenticatedHttpRequest, *, status: int = 200, **extra: Any) -> HttpResponse:
    user = request.user
    context = {
        "form": SettingsForm(instance=user, models=ChatModel.objects.allowed_to(user)),
        "keys": user.api_keys.filter(revoked_at=None),
        "now": timezone.now(),
        "readings": ConversationReading.objects.filter(owner=user)[:MAX_READINGS],
        "conversation_count": Conversation.objects.for_user(user).listed().count(),
        **extra,
    }
    return render(request, "chat/settings.html", context, status=status)


@require_POST
@login_required
def add_key(request: AuthenticatedHttpRequest) -> HttpResponse:
    """The response is the only place where the secret is shown."""
    try:
        key, secret = api_keys.create(request.user, request.POST.get("name", ""))
    except errors.InvalidInput as error:
        return _page(request, key_error=error.message, status=error.status)
    return _page(request, new_key=key, secret=secret)


@require_POST
@login_required
def revoke_key(request: AuthenticatedHttpRequest, key_id: int) -> HttpResponse:
    key = request.user.api_keys.filter(pk=key_id).first()
    if key is None:
        raise Http404
    api_keys.revoke(key)
    messages.success(request, _("The key is revoked."))
    return HttpResponseRedirect(reverse("settings") + "#keys")


@require_POST
@login_required
def end_sessions(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Log out everywhere but here."""
    user = request.user
    user.end_sessions()
    update_session_auth_hash(request, user)
    messages.success(request, _("You are logged out everywhere else."))
    return HttpResponseRedirect(reverse("settings") + "#sessions")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def delete_all(request: AuthenticatedHttpRequest) -> HttpResponse:
    """Running answers are stopped: nobody will see them."""
    own = Conversation.objects.for_user(request.user)
    wrong = request.method == "POST" and request.POST.get("word", "").strip().lower() != CONFIRMATION
    if request.method != "POST" or wrong:
        context = {"count": own.listed().count(), "word": CONFIRMATION, "wrong": wrong}
        return render(request, "chat/delete_all.html", context, status=422 if wrong else 200)
    Message.objects.running().filter(conversation__in=own).update(stop_requested=True)
    own.update(deleted_at=timezone.now())
    messages.success(request, _("All conversations are deleted."))
    return HttpResponseRedirect(reverse("home"))


@require_POST
@login_required
def conversation_settings(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> HttpResponse:
    conversation = get_conversation_or_404(request, conversation_id)
    allowed = ChatModel.objects.allowed_to(request.user)
    form = ConversationForm(request.POST, instance=conversation, models=allowed)
    if form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
    else:
        messages.error(request, " ".join(str(problem) for each in form.errors.values() for problem in each))
    return HttpResponseRedirect(conversation.get_absolute_url())
