"""Requests of the pages: who may make them, whether htmx makes them, and how an error is shown."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from chat import errors
from chat.accounts.http import AuthenticatedHttpRequest, current_user
from chat.infra.database_threads import run_in_db_thread
from chat.models import Conversation, User
from chat.streaming.error_responses import AsyncView, errors_as


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def redirect_to_login(request: HttpRequest) -> HttpResponse:
    """htmx opens the login page as a whole (401 with `HX-Redirect`); a plain request is redirected."""
    if is_htmx(request):
        shown = request.headers.get("HX-Current-URL", "")
        path = "/" + shown.split("/", 3)[3] if shown.count("/") >= 3 else reverse("home")
        return HttpResponse(status=401, headers={"HX-Redirect": f"{settings.LOGIN_URL}?next={quote(path)}"})
    back = request.get_full_path() if request.method == "GET" else reverse("home")
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(back)}")


def user_required(view: AsyncView) -> AsyncView:
    """Decorator for async views: the request is an `AuthenticatedHttpRequest`, or the login page answers."""

    @functools.wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = await run_in_db_thread(current_user, request)
        if user is None:
            return redirect_to_login(request)
        request.user = user
        return await view(request, *args, **kwargs)

    return wrapped


def login_required(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """As `user_required`, for plain views."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if isinstance(request.user, User) else redirect_to_login(request)

    return wrapped


def get_conversation_or_404(request: AuthenticatedHttpRequest, conversation_id: uuid.UUID) -> Conversation:
    """The user's own conversation; another user's is a 404, as one that does not exist."""
    found = Conversation.objects.get_for_user(request.user, conversation_id)
    if found is None:
        raise Http404
    return found


async def render_error(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    """A fragment for htmx, else a page with the same message and the typed text in the message box."""
    template = "chat/_refusal.html" if is_htmx(request) else "chat/refused.html"
    context = {
        "error": error,
        "typed": request.POST.get("prompt", "")[: settings.CHAT_MAX_PROMPT_CHARS * 2],
        "back": request.path_info.split("messages/")[0] if "/messages/" in request.path_info else reverse("home"),
        "title": _("Not sent"),
    }
    html = await run_in_db_thread(render_to_string, template, context, request)
    return HttpResponse(html, status=error.status)


show_errors = errors_as(render_error)
