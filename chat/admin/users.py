"""Users, groups and API keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.accounts import erasure
from chat.accounts.invitations import invitation_url
from chat.admin import limits
from chat.admin.generic import ModelAdmin, UserChangeForm
from chat.admin.generic import UserAdmin as DjangoUserAdmin
from chat.admin.widgets import NativeWidgets
from chat.models import ApiKey, Conversation, LimitOverride, Message, User

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(NativeWidgets, DjangoGroupAdmin):
    pass


class UserForm(UserChangeForm):
    def clean(self) -> dict[str, Any]:
        """Reject taking the last superuser's rights: nobody could give them back in the admin."""
        data = super().clean() or self.cleaned_data
        remains_superuser = data.get("is_active") and data.get("is_superuser")
        if not remains_superuser and User.includes_last_superuser(User.objects.filter(pk=self.instance.pk)):
            raise ValidationError(_("This is the last superuser. Make another one first."))
        return data


@admin.register(User)
class UserAdmin(NativeWidgets, DjangoUserAdmin):
    form = UserForm
    readonly_fields = ("last_login", "date_joined")
    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), (_("Chat"), {"fields": ("default_model", "theme", "enter_sends")}))
    actions = ("invite", "end_sessions")

    def get_urls(self) -> list[URLPattern]:
        view: Any = self.admin_site.admin_view
        return [
            path("<int:user_id>/limits/", view(limits.user_limits), name="chat_user_limits"),
            path("<int:user_id>/limits/reset/", view(limits.reset), name="chat_user_limits_reset"),
            *super().get_urls(),
        ]

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, Any]:
        """The users, and the number of objects that would be deleted with them.

        Django would list every object, each message nested in the one before it. Users with lines in the admin
        log are protected: deleting them would delete those lines.
        """
        users = list(objs)
        holdings = [erasure.summarize(user) for user in users]
        counts: dict[type[Model], int] = {
            User: len(users),
            Conversation: sum(each.conversations for each in holdings),
            Message: sum(each.messages for each in holdings),
            ApiKey: sum(each.api_keys for each in holdings),
            LimitOverride: sum(each.limit_overrides for each in holdings),
        }
        protected = [
            _("%(name)s wrote in the admin log; clear “active” instead, or use “manage.py erase”.")
            % {"name": user.get_username()}
            for user, each in zip(users, holdings, strict=True)
            if each.wrote_admin_log
        ]
        if User.includes_last_superuser(users):
            protected.append(gettext("No superuser would be left. Make another one first."))
        model_counts = {model._meta.verbose_name_plural: count for model, count in counts.items()}
        existing = [model for model, count in counts.items() if count]
        return users, model_counts, self._undeletable(request, existing), protected

    def _undeletable(self, request: HttpRequest, models: Iterable[type[Model]]) -> set[Any]:
        """The names of those models whose objects this admin may not delete."""
        return {
            model._meta.verbose_name
            for model in models
            if self.admin_site.is_registered(model)
            and not self.admin_site.get_model_admin(model).has_delete_permission(request)
        }

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


@admin.register(ApiKey)
class ApiKeyAdmin(NativeWidgets, ModelAdmin):
    list_display = ("prefix", "name", "user", "created_at", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("user__username", "prefix", "name")
    readonly_fields = ("user", "prefix", "created_at", "last_used_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
