from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_email

from chat.accounts.invitations import invitation_url
from chat.management.command import BaseCommand
from chat.models import User

MAX_USERNAME = 150
MAX_EMAIL = 254


class Command(BaseCommand):
    help = "Prints a one-time link to set the password of a user. Creates the account if it does not exist."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--staff", action="store_true", help="may open the admin")
        parser.add_argument("--base-url", default="", help="such as https://chat.example.org")

    def handle(self, *args: Any, **options: Any) -> None:
        base_url = options["base_url"] or (settings.CSRF_TRUSTED_ORIGINS or ["http://127.0.0.1:8000"])[0]
        _validate(options["username"], options["email"], base_url)
        user = self._get_or_create(options["username"], options["email"], is_staff=options["staff"])
        self.stdout.write(f"{base_url.rstrip('/')}{invitation_url(user)}")

    def _get_or_create(self, name: str, email: str, *, is_staff: bool) -> User:
        username = User.normalize_username(name)
        user, created = User.objects.get_or_create(username=username, defaults={"email": email})
        if created:
            user.set_unusable_password()
            user.is_staff = is_staff
            user.save(update_fields=("password", "is_staff"))
        elif not user.is_active:
            raise CommandError(f"The account of {username} is not active.")
        elif email or is_staff:
            raise CommandError(f"{username} has an account; change its email and rights in the admin.")
        return user


def _validate(username: str, email: str, base_url: str) -> None:
    try:
        UnicodeUsernameValidator()(username)
        if email:
            validate_email(email)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if len(username) > MAX_USERNAME:
        raise CommandError(f"The username has more than {MAX_USERNAME} characters.")
    if len(email) > MAX_EMAIL:
        raise CommandError(f"The email address has more than {MAX_EMAIL} characters.")
    if not re.fullmatch(r"https?://[^\s/?#@]+/?", base_url):
        raise CommandError("The base URL must be one such as https://chat.example.org.")
