from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import CommandParser

from chat.management.command import BaseCommand
from chat.models import User


class Command(BaseCommand):
    help = "Creates the superuser `admin` and prints its password once. Does nothing if there is any user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000/", help="the URL of the site, to print")

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            return
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser("admin", password=password)
        self.stdout.write(
            "\n"
            "  Your site is ready. This is shown once:\n"
            "\n"
            f"    address   {options['address']}\n"
            "    username  admin\n"
            f"    password  {password}\n"
            "\n"
        )
