from __future__ import annotations

import secrets
from typing import Any

from chat.management.command import Command as BaseCommand
from chat.models import User


class Command(BaseCommand):
    help = "Makes the account `admin` on a site that has none yet, and prints its password once."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000/")

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.exists():
            return
        password = secrets.token_urlsafe(12)
        User.objects.create_superuser("admin", password=password)
        self.stdout.write("")
        self.stdout.write("  Your site is ready. This is shown once:")
        self.stdout.write("")
        self.stdout.write(f"    address   {options['address']}")
        self.stdout.write("    username  admin")
        self.stdout.write(f"    password  {password}")
        self.stdout.write("")
