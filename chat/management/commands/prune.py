from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from chat.accounts import retention
from chat.management.command import Command as BaseCommand
from chat.management.command import add_format, duration


class Command(BaseCommand):
    help = (
        "Removes what is past keeping: conversations deleted more than a day ago, those the API did not ask to keep, "
        "rows of servers that are gone and, with --older-than, conversations nobody wrote in for so long. "
        "Says what would go; --yes removes it. The ledger stays, and so do conversations with a running answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=duration, help="such as 90d")
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--dry-run", action="store_true", help="only say what would go; this is the default")
        either.add_argument("--yes", action="store_true", help="remove it")
        add_format(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        rows = []
        for rule in retention.retention_rules(options["older_than"]):
            due = retention.due_conversations(rule.condition)
            count = self._remove(rule) if options["yes"] else due.count()
            rows.append({"what": f"{rule.name} conversations", "count": count})
        servers = retention.stale_processes()
        count = servers.delete()[0] if options["yes"] else servers.count()
        rows.append({"what": "rows of servers that are gone", "count": count})
        self.print_rows(rows, ("what", "count"), options["format"])
        if not options["yes"]:
            self.stderr.write("Nothing was removed. Run it again with --yes to remove this.")

    def _remove(self, rule: retention.RetentionRule) -> int:
        ids = list(retention.due_conversations(rule.condition).values_list("pk", flat=True))
        due = self.progress(ids, f"Removing {rule.name}")
        return sum(retention.remove_conversation(each, rule.condition) for each in due)
