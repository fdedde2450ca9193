"""The base class of the commands, and the argument types that they share."""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.core.management import base
from django.core.management.base import CommandError, CommandParser, SystemCheckError, handle_default_options
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from chat import errors
from chat.infra.tables import FORMATS, Row, write_rows
from chat.models import User

T = TypeVar("T")
MAX_DAYS = 36_500
PROGRESS_WIDTH = 30


class BaseCommand(base.BaseCommand):
    """A command whose every failure is one line on standard error and exit code 1.

    That includes wrong arguments, for which Django prints the usage and exits with 2, and a database that cannot be
    reached or is not migrated.
    """

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django's, but a parser that was not created for the command line raises `CommandError`."""
        try:
            options = self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
            handle_default_options(options)
            arguments = vars(options)
            self.execute(*arguments.pop("args", ()), **arguments)
        except SystemCheckError as error:
            self.stderr.write(str(error), lambda text: text)
            sys.exit(error.returncode)
        except CommandError as error:
            self.stderr.write(f"{type(error).__name__}: {str(error).removeprefix('Error: ')}")
            sys.exit(error.returncode)
        except BrokenPipeError:  # the reader of a pipe such as `| head` has ended
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            connections.close_all()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Raises `CommandError` for the errors of the site, of the database and for Ctrl+C."""
        try:
            return super().execute(*args, **options)
        except errors.ChatError as error:
            wait = f" (retry in {error.retry_after} s)" if error.retry_after else ""
            raise CommandError(f"{error.message}{wait}") from None
        except DatabaseError as error:
            raise CommandError(_database_failure(error)) from None
        except KeyboardInterrupt:
            raise CommandError("Stopped.") from None

    def get_user(self, name: str) -> User:
        """The user with this name, also an inactive one. Raises `CommandError`."""
        user = User.objects.filter(username=name).first() if "\0" not in name else None
        if user is None:
            raise CommandError(f"There is no user {name!r}.")
        return user

    def print_rows(self, rows: Sequence[Row], columns: Sequence[str], output_format: str) -> None:
        """Print rows in one of `FORMATS`; an empty table prints a sentence on standard error."""
        if output_format == "table" and not rows:
            self.stderr.write("Nothing to show.")
            return
        write_rows(self.stdout, output_format, rows, columns)

    def progress(self, items: Sequence[T], label: str) -> Iterator[T]:
        """Yield the items, and draw a progress bar on standard error if it is a terminal."""
        is_shown = self.stderr.isatty() and len(items) > 1
        for number, item in enumerate(items, 1):
            yield item
            if is_shown:
                bar = "#" * (PROGRESS_WIDTH * number // len(items))
                end = "\n" if number == len(items) else ""
                self.stderr.write(f"\r{label} [{bar:<{PROGRESS_WIDTH}}] {number:,}/{len(items):,}", str, end)
                self.stderr.flush()


def _database_failure(error: DatabaseError) -> str:
    """What to do about a database error: migrate, or look why the database cannot be reached."""
    try:
        connection.close()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return "The database is not up to date: run manage.py migrate."
    except DatabaseError:
        return "The database cannot be reached."
    return f"The database reported an error ({type(error).__name__})."


def add_format(parser: CommandParser) -> None:
    """Add the option `--format`."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="output format; default: table")


def duration(text: str) -> dt.timedelta:
    """`90d` or `12h` as an argument. Raises `ArgumentTypeError`."""
    match = re.fullmatch(r"([0-9]{1,6})([dh])", text)
    if not match or not int(match[1]):
        raise ArgumentTypeError(f"{text!r} is not a duration such as 90d or 12h")
    value = dt.timedelta(days=int(match[1])) if match[2] == "d" else dt.timedelta(hours=int(match[1]))
    if value.days > MAX_DAYS:
        raise ArgumentTypeError(f"{text!r} is more than {MAX_DAYS} days")
    return value


def midnight(text: str) -> dt.datetime:
    """A date as an argument: the start of that day in the site's time zone. Raises `ArgumentTypeError`."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-03-31") from None
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))
