"""What all commands share: faults as one line, dates and durations, people by name, progress."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from chat import errors
from chat.infra.tables import FORMATS, Row, write_rows
from chat.models import User

T = TypeVar("T")
LONGEST_DAYS = 36_500


class Command(BaseCommand):
    """Every failure, also a wrong argument or a database that is away, is one line and exit code 1."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        self._called_from_command_line = False  # argparse would print its usage and exit with 2
        return super().create_parser(prog_name, subcommand, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv(argv)
        except CommandError as error:
            self.stderr.write(f"{type(error).__name__}: {str(error).removeprefix('Error: ')}")
            sys.exit(1)
        except BrokenPipeError:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except errors.ChatError as error:
            wait = f" (retry in {error.retry_after} s)" if error.retry_after else ""
            raise CommandError(f"{error.message}{wait}") from None
        except DatabaseError as error:
            raise CommandError(_database_fault(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped.") from None

    def person(self, name: str) -> User:
        user = User.objects.filter(username=name).first() if "\0" not in name else None
        if user is None:
            raise CommandError(f"There is no user {name!r}.")
        return user

    def print_rows(self, rows: Sequence[Row], columns: Sequence[str], form: str) -> None:
        if form == "table" and not rows:
            self.stderr.write("Nothing to show.")
            return
        write_rows(self.stdout, form, rows, columns)

    def progress(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Hands the items on, with a bar while a person watches."""
        watched = self.stderr.isatty() and len(items) > 1
        for number, item in enumerate(items, 1):
            yield item
            if watched:
                done = 30 * number // len(items)
                end = "\n" if number == len(items) else ""
                self.stderr.write(f"\r{what} [{'#' * done:<30}] {number:,}/{len(items):,}", str, end)
                self.stderr.flush()


def _database_fault(error: DatabaseError) -> str:
    try:
        connection.close()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "The database is not up to date: run manage.py migrate."
    except DatabaseError:
        return "The database cannot be reached."
    return f"The database reported a fault ({type(error).__name__})."


def add_format(parser: CommandParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="table", help="how rows are printed")


def duration(text: str) -> dt.timedelta:
    """`90d` or `12h`, for argparse."""
    found = re.fullmatch(r"([0-9]{1,6})([dh])", text)
    if not found or not int(found[1]):
        raise ArgumentTypeError(f"{text!r} is not a duration such as 90d or 12h")
    span = dt.timedelta(days=int(found[1])) if found[2] == "d" else dt.timedelta(hours=int(found[1]))
    if span.days > LONGEST_DAYS:
        raise ArgumentTypeError(f"{text!r} is more than {LONGEST_DAYS} days")
    return span


def midnight(text: str) -> dt.datetime:
    """The beginning of a day in the site's time zone, for argparse."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-03-31") from None
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))
