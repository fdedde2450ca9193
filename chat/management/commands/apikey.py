from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from chat.accounts import api_keys
from chat.management.command import Command as BaseCommand
from chat.management.command import add_format, duration
from chat.models import ApiKey

COLUMNS = ("prefix", "user", "name", "created", "last_used", "expires", "revoked")


class Command(BaseCommand):
    help = "Personal keys for the JSON API. A key is shown once, when it is made."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a key and print it")
        create.add_argument("user")
        create.add_argument("--name", required=True, help="what it is for")
        create.add_argument("--expires", type=duration, help="such as 90d; default: never")
        listed = verbs.add_parser("list", help="all keys, or those of one person")
        listed.add_argument("user", nargs="?")
        add_format(listed)
        verbs.add_parser("revoke", help="end a key").add_argument("prefix", help="as the list shows it")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        user = self.person(options["user"])
        if not user.is_active:
            raise CommandError(f"The account of {options['user']} is not active.")
        expires_at = timezone.now() + options["expires"] if options["expires"] else None
        _key, secret = api_keys.create(user, options["name"], expires_at=expires_at)
        self.stdout.write(secret)
        self.stderr.write("This is shown once. Send it as: Authorization: Bearer <key>")

    def _list(self, options: dict[str, Any]) -> None:
        keys = ApiKey.objects.select_related("user")
        if options["user"]:
            keys = keys.filter(user=self.person(options["user"]))
        self.print_rows([_row(key) for key in keys], COLUMNS, options["format"])

    def _revoke(self, options: dict[str, Any]) -> None:
        prefix = options["prefix"].removesuffix("…")
        found = list(ApiKey.objects.filter(prefix=prefix)) if "\0" not in prefix else []
        if len(found) != 1:
            raise CommandError(f"There is no key {prefix!r}." if not found else f"Several keys begin with {prefix!r}.")
        if not api_keys.revoke(found[0]):
            raise CommandError(f"{prefix} was revoked before.")
        self.stdout.write(f"Revoked {prefix}.")


def _row(key: ApiKey) -> dict[str, Any]:
    moments = (key.created_at, key.last_used_at, key.expires_at, key.revoked_at)
    shown = [f"{timezone.localtime(each):%Y-%m-%d %H:%M}" if each else None for each in moments]
    return dict(zip(COLUMNS, (key.prefix, key.user.get_username(), key.name, *shown), strict=True))
