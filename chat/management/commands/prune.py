from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat.accounts import retention
from chat.management.command import BaseCommand, add_format, duration


class Command(BaseCommand):
    help = (
        "Removes conversations deleted more than a day ago, conversations that API clients did not keep, rows of ended "
        "server processes and, with --older-than, conversations without changes for so long. Without --yes it only "
        "counts. Usage ledger rows and conversations with a running answer stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=duration, help="such as 90d")
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--dry-run", action="store_true", help="only count; this is the default")
        mode.add_argument("--yes", action="store_true", help="remove")
        add_format(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = []
        for rule in retention.retention_rules(options["older_than"]):
            count = self._remove(rule) if options["yes"] else retention.due_conversations(rule.condition).count()
            rows.append({"what": f"{rule.name} conversations", "count": count})
        processes = retention.stale_processes()
        count = processes.delete()[0] if options["yes"] else processes.count()
        rows.append({"what": "rows of ended server processes", "count": count})
        self.print_rows(rows, ("what", "count"), options["format"])
        if not options["yes"]:
            self.stderr.write("Nothing was removed. Run again with --yes to remove these.")

    def _remove(self, rule: retention.RetentionRule) -> int:
        ids = list(retention.due_conversations(rule.condition).values_list("pk", flat=True))
        return sum(
            retention.remove_conversation(each, rule.condition) for each in self.progress(ids, f"Removing {rule.name}")
        )
