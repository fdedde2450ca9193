"""People, plans and overrides."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.accounts import erasure
from chat.accounts.invitations import invitation_url
from chat.admin import allowance
from chat.admin.plain import PlainWidgets
from chat.models import ApiKey, Conversation, LimitOverride, Message, Plan, User

admin.site.unregister(Group)


@admin.register(Group)
class PlainGroupAdmin(PlainWidgets, GroupAdmin):
    pass


class PersonForm(UserChangeForm):
    def clean(self) -> dict[str, Any]:
        """Without a superuser only the shell could give rights again."""
        given = super().clean() or self.cleaned_data
        stays = given.get("is_active") and given.get("is_superuser")
        if not stays and User.includes_last_superuser(User.objects.filter(pk=self.instance.pk)):
            raise ValidationError(_("This is the last superuser. Make another one first."))
        return given


@admin.register(User)
class PersonAdmin(PlainWidgets, UserAdmin):
    form = PersonForm
    readonly_fields = ("last_login", "date_joined")
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
        """The people, and how much goes with them. Django would list it all, each message inside the one before it.

        Those who acted in the admin cannot be deleted here: the admin log would lose their lines with them.
        """
        people = list(objs)
        held = [erasure.summarize(person) for person in people]
        counts: dict[type[Model], int] = {
            User: len(people),
            Conversation: sum(each.conversations for each in held),
            Message: sum(each.messages for each in held),
            ApiKey: sum(each.api_keys for each in held),
            LimitOverride: sum(each.limit_overrides for each in held),
        }
        missing_rights = {
            model._meta.verbose_name
            for model, editor in self.admin_site._registry.items()
            if counts.get(model) and not editor.has_delete_permission(request)
        }
        kept = [
            _("%(name)s wrote in the admin log; take away “active” instead, or use “manage.py erase”.")
            % {"name": person.get_username()}
            for person, each in zip(people, held, strict=True)
            if each.wrote_admin_log
        ]
        if User.includes_last_superuser(objs):
            kept.append(gettext("No superuser would be left. Make another one first."))
        return people, {model._meta.verbose_name_plural: count for model, count in counts.items()}, missing_rights, kept

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
class PlanAdmin(PlainWidgets, admin.ModelAdmin):
    list_display = (
        "name",
        "is_default",
        "requests_per_minute",
        "tokens_per_day",
        "cost_per_month",
        "concurrent_answers",
    )


@admin.register(LimitOverride)
class LimitOverrideAdmin(PlainWidgets, admin.ModelAdmin):
    list_display = ("user", "rule", "value", "reason", "expires_at", "created_by")
    list_filter = ("rule",)
    search_fields = ("user__username", "reason")
    exclude = ("created_by",)

    def save_model(self, request: HttpRequest, obj: LimitOverride, form: object, change: bool) -> None:
        if not change and isinstance(request.user, User):
            obj.created_by = request.user
        obj.save()


@admin.register(ApiKey)
class ApiKeyAdmin(PlainWidgets, admin.ModelAdmin):
    list_display = ("prefix", "name", "user", "created_at", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("user__username", "prefix", "name")
    readonly_fields = ("user", "prefix", "created_at", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
