"""Plans and the limits of single users that override them."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from chat.admin.generic import ModelAdmin
from chat.admin.widgets import NativeWidgets
from chat.models import LimitOverride, Plan, User


@admin.register(Plan)
class PlanAdmin(NativeWidgets, ModelAdmin):
    list_display = (
        "name",
        "is_default",
        "requests_per_minute",
        "tokens_per_day",
        "cost_per_month",
        "concurrent_answers",
    )


@admin.register(LimitOverride)
class LimitOverrideAdmin(NativeWidgets, ModelAdmin):
    list_display = ("user", "rule", "value", "reason", "expires_at", "created_by")
    list_filter = ("rule",)
    search_fields = ("user__username", "reason")
    exclude = ("created_by",)

    def save_model(self, request: HttpRequest, obj: LimitOverride, form: object, change: bool) -> None:
        if not change and isinstance(request.user, User):
            obj.created_by = request.user
        obj.save()
