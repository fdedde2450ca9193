"""Who may come in, and how each kind of caller is told no."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.middleware import get_user
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from chat import errors
from chat.http import PersonRequest, is_htmx
from chat.limits import limiter
from chat.models import Conversation, User
from chat.threads import in_database

AsyncView = Callable[..., Coroutine[Any, Any, HttpResponseBase]]
Refusal = Callable[[HttpRequest, errors.ChatError], Awaitable[HttpResponseBase]]


def person_of(request: HttpRequest) -> User | None:
    """Who is logged in; `request.user` in templates then is the same, without another look."""
    user = get_user(request)
    return user if user.is_authenticated and user.is_active else None


def to_login(request: HttpRequest) -> HttpResponse:
    """htmx goes to the login page as a whole; a plain request is redirected."""
    back = request.get_full_path() if request.method == "GET" else "/"
    if is_htmx(request):
        shown = request.headers.get("HX-Current-URL", "")
        path = "/" + shown.split("/", 3)[3] if shown.count("/") >= 3 else "/"
        return HttpResponse(status=401, headers={"HX-Redirect": f"{settings.LOGIN_URL}?next={quote(path)}"})
    return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(back)}")


def person_only(view: AsyncView) -> AsyncView:
    """For pages and actions: `request.person` is set, or the login page answers."""

    @functools.wraps(view)
    async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        person = await in_database(person_of, request)
        if person is None:
            return to_login(request)
        request = cast("PersonRequest", request)
        request.person = person
        return await view(request, *args, **kwargs)

    return wrapped


def logged_in_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """As `person_only`, for views that are plain functions; `request.user` is the person."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.user.is_authenticated else to_login(request)

    return wrapped


def own_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.of(request.user, conversation_id)
    if found is None:
        raise Http404
    return found


def refusal_headers(error: errors.ChatError) -> dict[str, str]:
    if isinstance(error, errors.LimitExceeded):
        return limiter.headers(error)
    if isinstance(error, errors.NotLoggedIn):
        return {"WWW-Authenticate": "Bearer"}
    return {"Retry-After": str(error.retry_after)} if error.retry_after else {}


def refusing_with(refuse: Refusal) -> Callable[[AsyncView], AsyncView]:
    """Turns every `ChatError` of the view into the answer its caller can show."""

    def decorate(view: AsyncView) -> AsyncView:
        @functools.wraps(view)
        async def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return await view(request, *args, **kwargs)
            except errors.ChatError as raised:
                error = raised
            except DatabaseError:
                error = errors.StorageDown()
                request.user = AnonymousUser()  # what the page shows must not ask the database again
            response = await refuse(request, error)
            for name, value in refusal_headers(error).items():
                response.headers[name] = value
            return response

        return wrapped

    return decorate


async def refuse_person(request: HttpRequest, error: errors.ChatError) -> HttpResponse:
    """A fragment for htmx, else a whole page with the same message and the typed text in its box."""
    template = "chat/_refusal.html" if is_htmx(request) else "chat/refused.html"
    context = {
        "error": error,
        "typed": request.POST.get("prompt", "")[: settings.CHAT_MAX_PROMPT_CHARS * 2],
        "back": request.path_info.split("messages/")[0] if "/messages/" in request.path_info else "/",
        "title": _("Not sent"),
    }
    html = await in_database(render_to_string, template, context, request)
    return HttpResponse(html, status=error.status)
