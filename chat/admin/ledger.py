"""The usage ledger: read only, for everyone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from chat.models import UsageRecord


class ReadOnly(admin.ModelAdmin):
    """Nothing here is added, changed or deleted, not even by superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnly):
    list_display = (
        "created_at",
        "user",
        "model",
        "status",
        "reason",
        "prompt_tokens",
        "completion_tokens",
        "dollars",
        "exact",
        "first_token_ms",
        "duration_ms",
    )
    list_filter = ("status", "model", "exact", "day")
    search_fields = ("user__username", "=message_id", "=conversation_id")
    list_select_related = ("user",)
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description="cost ($)", ordering="cost")
    def dollars(self, record: UsageRecord) -> str:
        return "unknown" if record.cost is None else f"{record.cost / 1_000_000:.6f}"
