from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.accounts import data_export
from chat.management.command import BaseCommand
from chat.models import User


class Command(BaseCommand):
    help = (
        "Exports the data of a user: account, settings, API keys (never their secrets), limits, usage and "
        "conversations. As JSON on standard output, or with --to as JSON and a Markdown file for each conversation."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--to", type=Path, metavar="FOLDER", help="a folder that does not exist or is empty")

    def handle(self, *args: Any, **options: Any) -> None:
        user, folder = self.get_user(options["user"]), options["to"]
        if folder is None:
            for piece in data_export.export_account(user):
                self.stdout.write(piece, ending="")
            return
        try:
            count = self._write(user, folder)
        except OSError as error:
            raise CommandError(f"{folder}: {error.strerror}.") from None
        self.stdout.write(f"Wrote export.json and {count} conversations to {folder}.")

    def _write(self, user: User, folder: Path) -> int:
        """Write the files and return the number of conversations. Raises `OSError`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty.")
        _write_private_file(folder / "export.json", data_export.export_account(user))
        (folder / "conversations").mkdir(mode=0o700)
        ids = list(data_export.all_conversations(user).values_list("pk", flat=True))
        for conversation_id in self.progress(ids, "Writing"):
            conversation = data_export.all_conversations(user).get(pk=conversation_id)
            path = folder / "conversations" / f"{conversation.created_at:%Y-%m-%d}-{conversation.pk}.md"
            _write_private_file(path, [data_export.conversation_markdown(conversation)])
        return len(ids)


def _write_private_file(path: Path, pieces: Iterable[str]) -> None:
    """A new file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(pieces)
