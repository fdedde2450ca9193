from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.management.command import BaseCommand, add_format
from chat.usage import reconciliation, reports
from chat.usage.reports import DateRange, UsageLine

COUNTS = ("requests", "people", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "tokens")
QUALITY = ("refusals", "failed", "stopped", "estimated", "unpriced", "first_token_p50", "first_token_p95")
ALL_COLUMNS = ("key", "label", *COUNTS, "cost", *QUALITY)
TABLE_COLUMNS = ("requests", "people", "tokens", "cost_usd", "refusals", "failed", "stopped", "first_token_p50")


class Command(BaseCommand):
    help = (
        "Requests, tokens and cost by user, model, day or group, from the daily totals of the usage ledger. "
        "People in several groups count in each. JSON and CSV give costs in micro-dollars."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", default="", help="first day, such as 2026-03-01, or 30d; default: 30d")
        parser.add_argument("--until", default="", help="last day; default: today")
        parser.add_argument("--by", choices=reports.DIMENSIONS, default="day", help="default: day")
        parser.add_argument("--user", help="only the usage of this user")
        parser.add_argument("--order", default="", help="a column, with a minus for descending: --order=-tokens")
        add_format(parser)
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--check", action="store_true", help="compare the daily totals with the usage ledger")
        action.add_argument("--rebuild", action="store_true", help="rebuild the daily totals from the usage ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
        elif options["rebuild"]:
            self._rebuild()
        else:
            self._report(**options)

    def _report(self, **options: Any) -> None:
        date_range = DateRange.parse(options["since"], options["until"])
        user = self.get_user(options["user"]) if options["user"] is not None else None
        dimension, output_format = options["by"], options["format"]
        lines = reports.by(dimension, date_range, user=user, order=options["order"])
        if output_format == "table":
            total = reports.total(date_range, user=user)
            rows = [_table_row(line.label, line) for line in lines] + [_table_row("total", total)] * bool(lines)
            self.print_rows([{dimension: row["label"], **row} for row in rows], (dimension, *TABLE_COLUMNS), "table")
            return
        all_values = [{name: getattr(line, name) for name in ALL_COLUMNS} for line in lines]
        self.print_rows(all_values, ALL_COLUMNS, output_format)

    def _check(self) -> None:
        found = [
            difference
            for day in self.progress(reconciliation.recorded_days(), "Comparing")
            for difference in reconciliation.differences(day)
        ]
        for difference in found:
            self.stdout.write(str(difference))
        if found:
            raise CommandError(f"{len(found)} differences. manage.py usage --rebuild corrects the daily totals.")
        self.stdout.write("The daily totals match the usage ledger.")

    def _rebuild(self) -> None:
        days = reconciliation.recorded_days()
        for day in self.progress(days, "Rebuilding"):
            reconciliation.rebuild(day)
        self.stdout.write(f"Rebuilt the daily totals of {len(days)} days.")


def _table_row(label: str, line: UsageLine) -> dict[str, Any]:
    """The columns of the table; its cost is in dollars."""
    row = {name: getattr(line, name) for name in TABLE_COLUMNS if name != "cost_usd"}
    return row | {"label": label, "cost_usd": round(line.cost / 1_000_000, 6)}
