from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat.management.command import Command as BaseCommand
from chat.management.command import add_format
from chat.usage import reconciliation, reports
from chat.usage.reports import Line, Span

COUNTS = ("requests", "people", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "tokens")
QUALITY = ("refusals", "failed", "stopped", "estimated", "unpriced", "first_token_p50", "first_token_p95")
BRIEF = ("requests", "people", "tokens", "cost_usd", "refusals", "failed", "stopped", "first_token_p50")


class Command(BaseCommand):
    help = (
        "Who used what: requests, tokens and cost by user, model, day or group, from the roll-ups of the ledger. "
        "A person in several groups counts in each. JSON and CSV give costs in micro-dollars."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", default="", help="first day, such as 2026-03-01, or 30d; default 30d")
        parser.add_argument("--until", default="", help="last day; default today")
        parser.add_argument("--by", choices=reports.DIMENSIONS, default="day")
        parser.add_argument("--user", help="of this person alone")
        parser.add_argument("--order", default="", help="a column, with a minus for the largest first: --order=-tokens")
        add_format(parser)
        either = parser.add_mutually_exclusive_group()
        either.add_argument("--check", action="store_true", help="compare the roll-ups with the ledger")
        either.add_argument("--rebuild", action="store_true", help="make the roll-ups anew from the ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            self._check()
        elif options["rebuild"]:
            self._rebuild()
        else:
            self._report(**options)

    def _report(self, **options: Any) -> None:
        span = Span.parse(options["since"], options["until"])
        user = self.person(options["user"]) if options["user"] is not None else None
        dimension, form = options["by"], options["format"]
        lines = reports.by(dimension, span, user=user, order=options["order"])
        if form == "table":
            total = reports.total(span, user=user)
            rows = [_brief(line) for line in lines] + [{**_brief(total), "label": "total"}] * bool(lines)
            self.print_rows([{dimension: row["label"], **row} for row in rows], (dimension, *BRIEF), form)
            return
        columns = ("key", "label", *COUNTS, "cost", *QUALITY)
        self.print_rows([{name: getattr(line, name) for name in columns} for line in lines], columns, form)

    def _check(self) -> None:
        found = [
            each
            for day in self.progress(reconciliation.days(), "Comparing")
            for each in reconciliation.differences(day)
        ]
        for each in found:
            self.stdout.write(str(each))
        if found:
            raise CommandError(f"{len(found)} differences. manage.py usage --rebuild puts the roll-ups right.")
        self.stdout.write("The roll-ups equal the ledger.")

    def _rebuild(self) -> None:
        days = reconciliation.days()
        for day in self.progress(days, "Rebuilding"):
            reconciliation.rebuild(day)
        self.stdout.write(f"Rebuilt the roll-ups of {len(days)} days.")


def _brief(line: Line) -> dict[str, Any]:
    row = {name: getattr(line, name) for name in ("label", *BRIEF) if name != "cost_usd"}
    return row | {"cost_usd": round(line.cost / 1_000_000, 6)}
