from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.accounts import erasure
from chat.management.command import Command as BaseCommand
from chat.models import User

PATIENCE = 15


class Command(BaseCommand):
    help = (
        "Erases a person: conversations, keys, limit overrides, sessions and the account. The ledger keeps the amounts "
        "without the person. An account that wrote in the admin log stays there as an empty shell. "
        "Says what would go; --yes erases it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--yes", action="store_true", help="erase, for good")

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.person(options["user"])
        if not options["yes"]:
            self._preview(user)
            return
        _refuse_last_superuser(user)
        erasure.lock_account(user)
        self._wait_for_running(user)
        erasure.delete_conversations(user)
        erasure.delete_sessions(user)
        removed = erasure.erase_account(user)
        end = "is gone" if removed else "is an empty shell, for the admin log"
        self.stdout.write(f"Erased {options['user']}: the account {end}. The ledger keeps the amounts.")

    def _preview(self, user: User) -> None:
        held = erasure.summarize(user)
        self.stdout.write(
            f"{user.get_username()} has {held.conversations} conversations with {held.messages} messages, "
            f"{held.api_keys} API keys and {held.limit_overrides} limit overrides. "
            f"{held.ledger_rows} ledger rows would stay, without the person."
        )
        self.stderr.write("Nothing was erased. Run it again with --yes to erase this.")

    def _wait_for_running(self, user: User) -> None:
        """Their owners let go within a second; what a dead server left is erased with the rest."""
        deadline = time.monotonic() + PATIENCE
        while erasure.count_running_answers(user):
            if time.monotonic() > deadline:
                raise CommandError("An answer is still running. The person is locked out; run this again in a minute.")
            time.sleep(0.2)


def _refuse_last_superuser(user: User) -> None:
    if User.includes_last_superuser([user]):
        raise CommandError("This is the last superuser. Make another one first.")
