from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from chat import checks  # noqa: F401

        pre_migrate.connect(_before_migrations, sender=self)
        post_migrate.connect(_after_migrations, sender=self)


def _before_migrations(*, using: str, plan: list[Any], **kwargs: Any) -> None:
    from chat.search import index

    if plan:
        index.prepare(connections[using])


def _after_migrations(*, using: str, plan: list[Any] | None = None, **kwargs: Any) -> None:
    from chat.search import index

    if index.is_migrated(connections[using]):
        index.install(connections[using], fill=bool(plan))
