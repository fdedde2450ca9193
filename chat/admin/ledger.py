"""The usage ledger: read only, for everyone."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Page, Paginator
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from chat.admin import dashboard, health, live, sheets, words
from chat.admin.filters import DaysFilter, EndedFilter, GroupFilter, ModelFilter, PersonFilter, ReasonFilter
from chat.admin.pages import READ_CONVERSATIONS
from chat.models import Conversation, Status, UsageRecord, User, site_day

MOST_CSV_ROWS = 100_000


class ReadOnly(admin.ModelAdmin):
    """Nothing here is added, changed or deleted, not even by superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Summing(Paginator):
    """Counts and adds up in one query."""

    @cached_property
    def sums(self) -> dict[str, int]:
        rows: Any = self.object_list
        return rows.order_by().aggregate(
            rows=Count("pk"),
            prompt_tokens=Sum("prompt_tokens", default=0),
            completion_tokens=Sum("completion_tokens", default=0),
            cost=Sum("cost", default=0),
        )

    @cached_property
    def count(self) -> int:
        return self.sums["rows"]

    def page(self, number: Any) -> Page:
        """The ids first: skipping half a million of them reads an index, skipping rows reads the table."""
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        rows: Any = self.object_list
        keys = list(rows.values_list("pk", flat=True)[first : first + self.per_page])
        return Page(rows.filter(pk__in=keys), number, self)

    def words(self) -> dict[str, str]:
        sums = self.sums
        return {
            "rows": words.count(sums["rows"]),
            "prompt_tokens": words.count(sums["prompt_tokens"]),
            "completion_tokens": words.count(sums["completion_tokens"]),
            "cost": words.dollars(sums["cost"]),
        }


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly):
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
    paginator = Summing
    actions = ("as_csv",)
    change_list_template = "admin/chat/ledger.html"

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view
        return [
            path("dashboard/", view(dashboard.dashboard), name="chat_dashboard"),
            path("running/", view(live.live), name="chat_live"),
            path("running/<uuid:message_id>/stop/", view(live.stop), name="chat_stop"),
            path("health/", view(health.health), name="chat_health"),
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
        """Finds the people first: their names are few, the ledger's rows are not."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if found := _as_uuid(term):
            return queryset.filter(Q(message_id=found) | Q(conversation_id=found)), False
        people = list(User.objects.filter(username__icontains=term).values_list("pk", flat=True))
        return queryset.filter(user__in=people), False

    @admin.display(description=lazy("how it ended"))
    def ended(self, record: UsageRecord) -> str:
        label = str(Status(record.status).label) if record.status in Status.values else record.status
        return f"{label} ({record.reason})" if record.reason else label

    @admin.display(description=lazy("prompt"))
    def prompt(self, record: UsageRecord) -> str:
        return words.count(record.prompt_tokens)

    @admin.display(description=lazy("answer"))
    def completion(self, record: UsageRecord) -> str:
        return words.count(record.completion_tokens)

    @admin.display(description=lazy("cost"), ordering="cost")
    def dollars(self, record: UsageRecord) -> str:
        return _("unknown") if record.cost is None else f"${record.cost / 1_000_000:.6f}"

    @admin.display(description=lazy("reserved cost"))
    def reserved_dollars(self, record: UsageRecord) -> str:
        return f"${record.reserved_cost / 1_000_000:.6f}"

    @admin.display(description=lazy("first token"))
    def first_token(self, record: UsageRecord) -> str:
        return words.seconds(record.first_token_ms)

    @admin.display(description=lazy("duration"))
    def duration(self, record: UsageRecord) -> str:
        return words.seconds(record.duration_ms)

    @admin.action(description=lazy("Download as CSV"), permissions=("view",))
    def as_csv(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> HttpResponse | None:
        if queryset[MOST_CSV_ROWS:].exists():
            text = _("More than %(most)s rows: narrow the list down first.")
            messages.error(request, text % {"most": words.count(MOST_CSV_ROWS)})
            return None
        return sheets.download(f"ledger-{site_day()}", CSV_COLUMNS, _csv_rows(queryset))


def _read_url(request: HttpRequest, record: UsageRecord | None) -> str:
    """Where the conversation of this row may be read, if it may."""
    user: Any = request.user
    if record is None or not user.has_perm(READ_CONVERSATIONS):
        return ""
    found = Conversation.objects.filter(pk=record.conversation_id, deleted_at=None).exists()
    return reverse("admin:chat_read", args=(record.conversation_id,)) if found else ""


def _as_uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None


CSV_COLUMNS = (
    "created_at",
    "username",
    "model",
    "status",
    "reason",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cost_usd",
    "exact",
    "first_token_ms",
    "duration_ms",
    "message_id",
    "conversation_id",
    "upstream_request_id",
)


def _csv_rows(queryset: QuerySet[UsageRecord]) -> Any:
    names = [{"username": "user__username", "cost_usd": "cost"}.get(name, name) for name in CSV_COLUMNS]
    money = names.index("cost")
    for row in queryset.values_list(*names).iterator(chunk_size=2000):
        cost = None if row[money] is None else f"{row[money] / 1_000_000:.6f}"
        yield [row[0].isoformat(), *row[1:money], cost, *row[money + 1 :]]
