from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from chat.invitations import invitation_url
from chat.models import User


class Command(BaseCommand):
    help = "Makes an account, if there is none, and a one-time link to set its password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", default="")
        parser.add_argument("--staff", action="store_true", help="may open the admin")
        parser.add_argument("--base-url", default="", help="such as https://chat.example.org")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        try:
            UnicodeUsernameValidator()(username)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        if len(username) > 150:
            raise CommandError("The username has more than 150 characters.")
        user, created = User.objects.get_or_create(username=username, defaults={"email": options["email"]})
        if created:
            user.set_unusable_password()
            user.is_staff = options["staff"]
            user.save()
        base = options["base_url"] or (settings.CSRF_TRUSTED_ORIGINS or ["http://127.0.0.1:8000"])[0]
        self.stdout.write(f"{base.rstrip('/')}{invitation_url(user)}")
