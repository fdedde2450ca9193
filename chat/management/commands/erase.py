from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.accounts import erasure
from chat.management.command import BaseCommand
from chat.models import User

POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = (
        "Erases a user: conversations, API keys, limit overrides, sessions and the account. The usage ledger keeps the "
        "amounts without the user. An account with lines in the admin log stays as an empty, inactive account. "
        "Without --yes it only counts."
    )
    wait_seconds = 15.0

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--yes", action="store_true", help="erase; this cannot be undone")

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.get_user(options["user"])
        if not options["yes"]:
            self._preview(user)
            return
        if User.includes_last_superuser([user]):
            raise CommandError("This is the last superuser. Make another one first.")
        erasure.lock_account(user)
        self._wait_for_running_answers(user)
        erasure.delete_conversations(user)
        erasure.delete_sessions(user)
        is_removed = erasure.erase_account(user)
        account = "is removed" if is_removed else "stays as an empty account for the admin log"
        self.stdout.write(f"Erased {options['user']}: the account {account}. The usage ledger keeps the amounts.")

    def _preview(self, user: User) -> None:
        holdings = erasure.summarize(user)
        self.stdout.write(
            f"{user.get_username()} has {holdings.conversations} conversations with {holdings.messages} messages, "
            f"{holdings.api_keys} API keys and {holdings.limit_overrides} limit overrides. "
            f"{holdings.ledger_rows} ledger rows would stay, without the user."
        )
        self.stderr.write("Nothing was erased. Run again with --yes to erase this.")

    def _wait_for_running_answers(self, user: User) -> None:
        """Their processes stop them within a second. Raises `CommandError` after `wait_seconds`."""
        deadline = time.monotonic() + self.wait_seconds
        while erasure.count_running_answers(user):
            if time.monotonic() > deadline:
                raise CommandError("An answer is still running. The user is locked out; run this again in a minute.")
            time.sleep(POLL_SECONDS)
