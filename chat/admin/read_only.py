"""A model that the admin shows and nobody edits there."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from chat.admin.generic import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """No adding, changing or deleting, not even by superusers."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
