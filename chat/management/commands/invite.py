from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.validators import validate_email

from chat.accounts.invitations import invitation_url
from chat.management.command import Command as BaseCommand
from chat.models import User


class Command(BaseCommand):
    help = "Makes an account, if there is none, and a one-time link to set its password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--staff", action="store_true", help="may open the admin")
        parser.add_argument("--base-url", default="", help="such as https://chat.example.org")

    def handle(self, *args: Any, **options: Any) -> None:
        base = options["base_url"] or (settings.CSRF_TRUSTED_ORIGINS or ["http://127.0.0.1:8000"])[0]
        _validate(options["username"], options["email"], base)
        username = User.normalize_username(options["username"])
        user, created = User.objects.get_or_create(username=username, defaults={"email": options["email"]})
        if created:
            user.set_unusable_password()
            user.is_staff = options["staff"]
            user.save(update_fields=("password", "is_staff"))
        elif not user.is_active:
            raise CommandError(f"The account of {username} is not active.")
        elif options["email"] or options["staff"]:
            raise CommandError(f"{username} has an account; change its email and rights in the admin.")
        self.stdout.write(f"{base.rstrip('/')}{invitation_url(user)}")


def _validate(username: str, email: str, base: str) -> None:
    try:
        UnicodeUsernameValidator()(username)
        if email:
            validate_email(email)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if len(username) > 150:
        raise CommandError("The username has more than 150 characters.")
    if len(email) > 254:
        raise CommandError("The email address has more than 254 characters.")
    if not re.fullmatch(r"https?://[^\s/?#@]+/?", base):
        raise CommandError("The base URL must be one such as https://chat.example.org.")
