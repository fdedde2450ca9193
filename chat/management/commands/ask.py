from __future__ import annotations

import asyncio
import logging
import sys
import uuid
from contextlib import aclosing
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chat import providers
from chat.answers import current_runner, send
from chat.events import Delta, Failed, Finished, LogEvent
from chat.management.command import BaseCommand
from chat.models import Message, User
from chat.streaming.reader import read_events


class Command(BaseCommand):
    help = "Sends a question to the model as one user and prints the answer while it is generated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question", nargs="?", help="read from standard input if missing or -")
        parser.add_argument("--user", help="who asks, with their limits and history; default: the first superuser")
        parser.add_argument("--model", default="", help="default: the user's default model")

    def handle(self, *args: Any, **options: Any) -> None:
        if sys.stderr.isatty():  # log lines would appear in the middle of the answer
            logging.getLogger("chat").setLevel(logging.WARNING)
        question = options["question"]
        if question in (None, "-"):
            question = sys.stdin.read()
        user = self._get_user_or_superuser(options["user"])
        failure = asyncio.run(self._ask(user, question, options["model"]))
        if failure:
            raise CommandError(failure)

    def _get_user_or_superuser(self, name: str | None) -> User:
        if name is not None:
            user = self.get_user(name)
            if not user.is_active:
                raise CommandError(f"The account of {name} is not active.")
            return user
        first = User.objects.filter(is_active=True, is_superuser=True).order_by("pk").first()
        if first is None:
            raise CommandError("There is no superuser yet; name a user with --user.")
        return first

    async def _ask(self, user: User, question: str, model: str) -> str:
        """Send the question and print the answer. Returns the sentence of its failure, or ""."""
        try:
            sent = await send(user, question, client_key=str(uuid.uuid4()), model=model)
            try:
                last = await self._print(sent.answer)
            except asyncio.CancelledError:
                current_runner().stop(sent.answer.pk)
                raise
            await current_runner().wait(sent.answer.pk)
        finally:
            await current_runner().drain()
            await providers.close()
        self.stdout.write("")
        if isinstance(last, Failed):
            return last.message
        if isinstance(last, Finished) and last.status != "complete":
            self.stderr.write(f"[{last.status}]")
        return ""

    async def _print(self, answer: Message) -> LogEvent | None:
        last: LogEvent | None = None
        async with aclosing(read_events(answer)) as batches:
            async for events in batches:
                for event in events:
                    last = event
                    if isinstance(event, Delta):
                        self.stdout.write(event.text, ending="")
                self.stdout.flush()
        return last
