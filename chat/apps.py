"""The Django app: registers the system checks and keeps the search index up to date with migrations."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class ChatConfig(AppConfig):
    """Imports of the app's modules are inside methods: Django loads this module before it loads models."""

    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from chat import checks  # noqa: F401

        pre_migrate.connect(_drop_search_triggers, sender=self)
        post_migrate.connect(_create_search_index, sender=self)


def _drop_search_triggers(*, using: str, plan: list[Any], **kwargs: Any) -> None:
    from chat.search import index

    if plan:
        index.drop_triggers(connections[using])


def _create_search_index(*, using: str, plan: list[Any] | None = None, **kwargs: Any) -> None:
    from chat.search import index

    if index.is_migrated(connections[using]):
        index.create_index(connections[using], fill=bool(plan))
