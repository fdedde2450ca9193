"""What the admin's own pages have in common."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from chat.usage.reports import Span

SEE_USAGE = "chat.view_usagerecord"
STOP_ANSWERS = "chat.stop_answers"
CHANGE_LIMITS = "chat.change_limitoverride"
READ_CONVERSATIONS = "chat.read_conversations"

View = Callable[..., HttpResponse]


def needs(*permissions: str) -> Callable[[View], View]:
    """Staff with these rights only; the site wraps the view so that others meet the login or a 403."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return wrapped

    return decorate


def show(request: HttpRequest, name: str, title: object, **context: Any) -> HttpResponse:
    """A page of the admin site; `name` is its template and its place among the tabs."""
    return TemplateResponse(
        request,
        f"admin/chat/{name}.html",
        {**admin.site.each_context(request), "title": title, "tab": name, "opts": None, **context},
    )


def note(request: HttpRequest, about: Model, message: str) -> None:
    """Writes the admin log."""
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [about], CHANGE, message, single_object=True)


def ledger_url(**filters: str) -> str:
    return reverse("admin:chat_usagerecord_changelist", query={k: v for k, v in filters.items() if v})


def ledger_days(span: Span) -> dict[str, str]:
    return {"day__gte": str(span.first), "day__lt": str(span.last + dt.timedelta(days=1))}
