"""`manage.py invite` and `first_admin`: accounts from the shell."""

from __future__ import annotations

import re

from django.contrib.auth import authenticate
from django.test import Client

from chat.models import User
from tests.commands.terminal import Terminal


def test_invite_creates_an_account_without_a_password(manage: Terminal) -> None:
    code, _out, _err = manage("invite", "bob", "--email", "b@example.org", "--staff")
    assert code == 0
    bob = User.objects.get(username="bob")
    assert (bob.email, bob.is_staff, bob.has_usable_password()) == ("b@example.org", True, False)


def test_invite_prints_a_link_to_set_the_password(manage: Terminal) -> None:
    _code, out, _err = manage("invite", "bob", "--base-url", "http://testserver")
    response = Client().get(out.strip(), follow=True)
    assert response.status_code == 200
    assert "new_password1" in response.content.decode()


def test_an_existing_user_gets_another_link(manage: Terminal, alice: User) -> None:
    assert manage("invite", "alice")[0] == 0
    assert User.objects.count() == 1


def test_an_inactive_user_gets_none(manage: Terminal, alice: User) -> None:
    User.objects.update(is_active=False)
    assert manage("invite", "alice")[2] == "CommandError: The account of alice is not active.\n"


def test_first_admin_prints_a_password_that_works(manage: Terminal) -> None:
    code, out, _err = manage("first_admin", "--address", "http://127.0.0.1:9000/")
    assert code == 0
    assert "http://127.0.0.1:9000/" in out
    password = re.search(r"password  (\S+)", out)[1]
    assert authenticate(username="admin", password=password).is_superuser


def test_first_admin_does_nothing_where_there_is_a_user(manage: Terminal, alice: User) -> None:
    assert manage("first_admin") == (0, "", "")
    assert list(User.objects.all()) == [alice]
