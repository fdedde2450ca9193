from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from chat.accounts import api_keys
from chat.management.command import BaseCommand, add_format, duration
from chat.models import ApiKey

COLUMNS = ("prefix", "user", "name", "created", "last_used", "expires", "revoked")


class Command(BaseCommand):
    help = "Creates, lists and revokes personal keys for the JSON API and /v1. A key is shown once, when it is created."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="create a key and print it")
        create.add_argument("user")
        create.add_argument("--name", required=True, help="what the key is for")
        create.add_argument("--expires", type=duration, help="such as 90d; default: never")
        list_parser = verbs.add_parser("list", help="all keys, or those of one user")
        list_parser.add_argument("user", nargs="?")
        add_format(list_parser)
        verbs.add_parser("revoke", help="revoke a key").add_argument("prefix", help="as the list shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        verbs: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "create": self._create,
            "list": self._list,
            "revoke": self._revoke,
        }
        verbs[options["verb"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = self.get_user(options["user"])
        if not user.is_active:
            raise CommandError(f"The account of {options['user']} is not active.")
        expires_at = timezone.now() + options["expires"] if options["expires"] else None
        _key, secret = api_keys.create(user, options["name"], expires_at=expires_at)
        self.stdout.write(secret)
        self.stderr.write("This is shown once. Send it as: Authorization: Bearer <key>")

    def _list(self, options: dict[str, Any]) -> None:
        keys = ApiKey.objects.select_related("user")
        if options["user"]:
            keys = keys.filter(user=self.get_user(options["user"]))
        self.print_rows([_row(key) for key in keys], COLUMNS, options["format"])

    def _revoke(self, options: dict[str, Any]) -> None:
        prefix = options["prefix"].removesuffix("…")
        keys = list(ApiKey.objects.filter(prefix=prefix)) if "\0" not in prefix else []
        if not keys:
            raise CommandError(f"There is no key {prefix!r}.")
        if len(keys) > 1:
            raise CommandError(f"Several keys start with {prefix!r}.")
        if not api_keys.revoke(keys[0]):
            raise CommandError(f"{prefix} was revoked before.")
        self.stdout.write(f"Revoked {prefix}.")


def _row(key: ApiKey) -> dict[str, Any]:
    moments = (key.created_at, key.last_used_at, key.expires_at, key.revoked_at)
    texts = [f"{timezone.localtime(each):%Y-%m-%d %H:%M}" if each else None for each in moments]
    return dict(zip(COLUMNS, (key.prefix, key.user.get_username(), key.name, *texts), strict=True))
