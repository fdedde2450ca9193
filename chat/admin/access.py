"""People, plans and overrides."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from chat.admin import allowance
from chat.invitations import invitation_url
from chat.models import ApiKey, LimitOverride, Plan, User


@admin.register(User)
class PersonAdmin(UserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    fieldsets = (*(UserAdmin.fieldsets or ()), (_("Chat"), {"fields": ("default_model", "theme", "enter_sends")}))
    actions = ("invite", "end_sessions")

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view
        return [
            path("<int:user_id>/limits/", view(allowance.allowance), name="chat_user_limits"),
            path("<int:user_id>/limits/reset/", view(allowance.reset), name="chat_user_limits_reset"),
            *super().get_urls(),
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """Those who acted in the admin cannot be deleted here: the admin log would lose their lines with them."""
        found, counts, missing_rights, protected = super().get_deleted_objects(objs, request)
        acted = Exists(LogEntry.objects.filter(user=OuterRef("pk")))
        keepers = User.objects.filter(acted, pk__in=[person.pk for person in objs]).order_by("username")
        kept = [
            _("%(name)s wrote in the admin log; take away “active” instead, or use “manage.py erase”.")
            % {"name": person.get_username()}
            for person in keepers
        ]
        return found, counts, missing_rights, [*protected, *kept]

    @admin.action(description=_("Make a one-time link to set a password"), permissions=("change",))
    def invite(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            url = request.build_absolute_uri(invitation_url(user))
            self.log_change(request, user, "Made a one-time link to set a password.")
            messages.success(request, f"{user.get_username()}: {url}")

    @admin.action(description=_("End all sessions"), permissions=("change",))
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            user.end_sessions()
            self.log_change(request, user, "Ended all sessions.")
        messages.success(request, _("Their sessions have ended."))


@admin.register(Plan)
class PlanAdmin(admin.ModelAdmin):
    list_display = (
        "name",
        "is_default",
        "requests_per_minute",
        "tokens_per_day",
        "cost_per_month",
        "concurrent_answers",
    )
    filter_horizontal = ("groups",)


@admin.register(LimitOverride)
class LimitOverrideAdmin(admin.ModelAdmin):
    list_display = ("user", "rule", "value", "reason", "expires_at", "created_by")
    list_filter = ("rule",)
    search_fields = ("user__username", "reason")
    autocomplete_fields = ("user",)
    exclude = ("created_by",)

    def save_model(self, request: HttpRequest, obj: LimitOverride, form: object, change: bool) -> None:
        if not change and isinstance(request.user, User):
            obj.created_by = request.user
        obj.save()


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ("prefix", "name", "user", "created_at", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("user__username", "prefix", "name")
    readonly_fields = ("user", "prefix", "created_at", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
