"""The list of ledger rows and the page of one row; also the URLs of the pages beside it."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from chat.admin import running_answers
from chat.admin.dashboard.views import dashboard
from chat.admin.health.views import health
from chat.admin.ledger.csv import csv_download
from chat.admin.ledger.filters import DaysFilter, EndedFilter, GroupFilter, ModelFilter, PersonFilter, ReasonFilter
from chat.admin.ledger.paginator import SummingPaginator
from chat.admin.pages import READ_CONVERSATIONS
from chat.admin.read_only import ReadOnlyAdmin
from chat.infra import formatting
from chat.models import Conversation, Status, UsageRecord, User


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "user",
        "model",
        "ended",
        "prompt",
        "completion",
        "dollars",
        "exact",
        "first_token",
        "duration",
    )
    fields = (
        "created_at",
        "user",
        "model",
        "status",
        "reason",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "reasoning_tokens",
        "dollars",
        "exact",
        "reserved_tokens",
        "reserved_dollars",
        "first_token",
        "duration",
        "upstream_request_id",
        "message_id",
        "conversation_id",
    )
    readonly_fields = fields
    list_filter = (
        PersonFilter,
        GroupFilter,
        ("day", DaysFilter),
        ModelFilter,
        EndedFilter,
        ReasonFilter,
        "exact",
    )
    list_per_page = 50
    search_fields = ("user__username", "=message_id", "=conversation_id")
    list_select_related = ("user",)
    sortable_by = ("created_at", "dollars")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = SummingPaginator
    actions = ("as_csv",)
    max_csv_rows = 100_000
    change_list_template = "admin/chat/ledger.html"

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view
        return [
            path("dashboard/", view(dashboard), name="chat_dashboard"),
            path("running/", view(running_answers.running_answers_page), name="chat_live"),
            path("running/<uuid:message_id>/stop/", view(running_answers.stop), name="chat_stop"),
            path("health/", view(health), name="chat_health"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"tab": "ledger", "title": _("Ledger"), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        record = self.get_object(request, object_id)
        return super().change_view(
            request, object_id, form_url, {"read_url": _read_url(request, record), **(extra_context or {})}
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """Search for an id, or for user names; the users are selected first, as they are few and the rows are many."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if found := _parse_uuid(term):
            return queryset.filter(Q(message_id=found) | Q(conversation_id=found)), False
        users = list(User.objects.filter(username__icontains=term).values_list("pk", flat=True))
        return queryset.filter(user__in=users), False

    @admin.display(description=lazy("status"))
    def ended(self, record: UsageRecord) -> str:
        label = str(Status(record.status).label) if record.status in Status.values else record.status
        return f"{label} ({record.reason})" if record.reason else label

    @admin.display(description=lazy("prompt"))
    def prompt(self, record: UsageRecord) -> str:
        return formatting.number(record.prompt_tokens)

    @admin.display(description=lazy("answer"))
    def completion(self, record: UsageRecord) -> str:
        return formatting.number(record.completion_tokens)

    @admin.display(description=lazy("cost"), ordering="cost")
    def dollars(self, record: UsageRecord) -> str:
        return _("unknown") if record.cost is None else f"${formatting.exact_dollars(record.cost)}"

    @admin.display(description=lazy("reserved cost"))
    def reserved_dollars(self, record: UsageRecord) -> str:
        return f"${formatting.exact_dollars(record.reserved_cost)}"

    @admin.display(description=lazy("first token"))
    def first_token(self, record: UsageRecord) -> str:
        return formatting.response_time(record.first_token_ms)

    @admin.display(description=lazy("duration"))
    def duration(self, record: UsageRecord) -> str:
        return formatting.response_time(record.duration_ms)

    @admin.action(description=lazy("Download as CSV"), permissions=("view",))
    def as_csv(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> HttpResponse | None:
        if queryset[self.max_csv_rows :].exists():
            text = _("More than %(max)s rows: use filters to select fewer.")
            messages.error(request, text % {"max": formatting.number(self.max_csv_rows)})
            return None
        return csv_download(queryset)


def _read_url(request: HttpRequest, record: UsageRecord | None) -> str:
    """The page that shows the conversation of this row, for those who may read it."""
    if record is None or not request.user.has_perm(READ_CONVERSATIONS):
        return ""
    exists = Conversation.objects.filter(pk=record.conversation_id, deleted_at=None).exists()
    return reverse("admin:chat_read", args=(record.conversation_id,)) if exists else ""


def _parse_uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None
