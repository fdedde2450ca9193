from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.accounts import data_export
from chat.management.command import Command as BaseCommand


class Command(BaseCommand):
    help = (
        "Everything of one person: account, settings, keys (never their secrets), limits, usage and conversations. "
        "As JSON on standard output, or with --to as JSON and a Markdown file for each conversation in a new folder."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--to", type=Path, metavar="FOLDER", help="a folder that is not there yet, or empty")

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.person(options["user"])
        if options["to"] is None:
            for piece in data_export.export_account(user):
                self.stdout.write(piece, ending="")
            return
        try:
            count = self._write(user, options["to"])
        except OSError as error:
            raise CommandError(f"{options['to']}: {error.strerror}.") from None
        self.stdout.write(f"Wrote export.json and {count} conversations to {options['to']}.")

    def _write(self, user: Any, folder: Path) -> int:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty.")
        _write_file(folder / "export.json", data_export.export_account(user))
        (folder / "conversations").mkdir(mode=0o700)
        every = list(data_export.all_conversations(user).values_list("pk", flat=True))
        for conversation_id in self.progress(every, "Writing"):
            conversation = data_export.all_conversations(user).get(pk=conversation_id)
            name = f"{conversation.created_at:%Y-%m-%d}-{conversation.pk}.md"
            _write_file(folder / "conversations" / name, [data_export.conversation_markdown(conversation)])
        return len(every)


def _write_file(path: Path, pieces: Iterable[str]) -> None:
    """Readable by its owner alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(pieces)
