"""Invitations: one-time links to set a password, made with Django's password reset tokens."""

from __future__ import annotations

from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from chat.models import User


def invitation_url(user: User) -> str:
    """The path of a link for this user. Valid for `PASSWORD_RESET_TIMEOUT` seconds or until the password is set."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("password_reset_confirm", args=(uid, default_token_generator.make_token(user)))
