"""What the admin's own pages share: permissions, rendering, the admin log and links into the usage ledger."""

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

from chat.accounts.http import AuthenticatedHttpRequest
from chat.usage.reports import DateRange

SEE_USAGE = "chat.view_usagerecord"
STOP_ANSWERS = "chat.stop_answers"
CHANGE_LIMITS = "chat.change_limitoverride"
READ_CONVERSATIONS = "chat.read_conversations"

View = Callable[..., HttpResponse]


def require_permissions(*permissions: str) -> Callable[[View], View]:
    """Decorator for views inside `AdminSite.admin_view`: staff without all these permissions get a 403."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return wrapped

    return decorate


def render_page(request: HttpRequest, name: str, title: object, **context: Any) -> HttpResponse:
    """A page of the admin site from the template `admin/chat/<name>.html`; `name` is also the selected tab."""
    return TemplateResponse(
        request,
        f"admin/chat/{name}.html",
        {**admin.site.each_context(request), "title": title, "tab": name, "opts": None, **context},
    )


def log_change(request: AuthenticatedHttpRequest, changed: Model, message: str) -> None:
    """Write a line about an object into the admin log."""
    LogEntry.objects.log_actions(request.user.pk, [changed], CHANGE, message, single_object=True)


def ledger_url(**filters: str) -> str:
    """The list of ledger rows, narrowed down by query parameters; empty ones are left out."""
    return reverse("admin:chat_usagerecord_changelist", query={k: v for k, v in filters.items() if v})


def ledger_days(date_range: DateRange) -> dict[str, str]:
    """The ledger's query parameters for a range of days."""
    return {"day__gte": str(date_range.first), "day__lt": str(date_range.last + dt.timedelta(days=1))}
