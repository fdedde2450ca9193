"""Login, sign-up, invitations, and the limits on attempts."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from chat.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def alice() -> Any:
    caches["ratelimit"].clear()
    yield User.objects.create_user("alice", password="alice-password")
    caches["ratelimit"].clear()


def try_password(client: Client, name: str, password: str, **extra: str) -> Any:
    return client.post("/accounts/login/", {"username": name, "password": password}, **extra)


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_the_eleventh_failure_is_refused_for_known_and_unknown_names(name: str) -> None:
    client = Client()
    for _ in range(10):
        assert try_password(client, name, "wrong").status_code == 200
    refused = try_password(client, name, "alice-password")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 945  # a strict window counts in slots of a twentieth
    assert b"Too many attempts" in refused.content


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_a_refusal_does_not_repeat_the_name(name: str) -> None:
    client = Client()
    for _ in range(11):
        refused = try_password(client, name, "wrong")
    assert name.encode() not in refused.content


def test_no_password_is_hashed_for_a_refused_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    for _ in range(10):
        try_password(client, "alice", "wrong")
    monkeypatch.setattr("django.contrib.auth.authenticate", lambda *a, **k: pytest.fail("it hashed"))
    monkeypatch.setattr("django.contrib.auth.forms.authenticate", lambda *a, **k: pytest.fail("it hashed"))
    assert try_password(client, "alice", "wrong").status_code == 429


def test_a_successful_login_resets_the_failures_of_the_name() -> None:
    for _ in range(3):
        for number in range(9):
            try_password(Client(), "alice", "wrong", REMOTE_ADDR=f"10.0.0.{number}")
        assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.1.0.1").status_code == 302


def test_others_cannot_lock_out_a_browser_that_has_logged_in_before() -> None:
    known = Client()
    assert try_password(known, "alice", "alice-password").status_code == 302
    known.post("/accounts/logout/")
    for n in range(12):
        try_password(Client(), "alice", "wrong", REMOTE_ADDR=f"10.0.0.{n}")
    assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.2.0.1").status_code == 429
    assert try_password(known, "alice", "alice-password").status_code == 302


def test_an_address_is_refused_whatever_names_it_tries() -> None:
    for n in range(30):
        try_password(Client(), f"name{n}", "wrong")
    assert try_password(Client(), "alice", "alice-password").status_code == 429
    assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.3.0.1").status_code == 302


def test_a_forwarding_header_does_not_change_the_address() -> None:
    for n in range(30):
        try_password(Client(), f"name{n}", "wrong", HTTP_X_FORWARDED_FOR=f"10.9.9.{n}")
    refused = try_password(Client(), "alice", "alice-password", HTTP_X_FORWARDED_FOR="10.7.7.7")
    assert refused.status_code == 429


def test_parallel_attempts_admit_no_more_than_the_limit() -> None:
    def attempt(_number: int) -> int:
        with contextlib.closing(connection):  # this thread's own
            return try_password(Client(), "nobody", "wrong").status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(24)))
    assert codes.count(200) == 10
    assert codes.count(429) == 14


def test_the_admin_uses_the_login_of_the_site() -> None:
    response = Client().get("/admin/")
    assert response.status_code == 302
    response = Client().get(response.headers["Location"])
    assert response.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("target", ["https://evil.example/", "javascript:alert(1)", "//evil.example"])
def test_a_next_url_of_another_site_is_ignored(target: str) -> None:
    response = Client().post(f"/accounts/login/?next={target}", {"username": "alice", "password": "alice-password"})
    assert response.headers["Location"] == "/"


def test_an_invitation_sets_a_password_once(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("invite", "newcomer")
    path = capsys.readouterr().out.strip().removeprefix("http://127.0.0.1:8000")
    client = Client()
    form = client.get(path, follow=True)
    page = form.redirect_chain[-1][0]
    fields = {"new_password1": "correct horse battery", "new_password2": "correct horse battery"}
    assert client.post(page, fields).status_code == 302
    assert try_password(Client(), "newcomer", "correct horse battery").status_code == 302
    assert b"new_password1" not in Client().get(path, follow=True).content


SIGNUP_FORM = {"username": "eve", "password1": "correct horse battery", "password2": "correct horse battery"}


def test_sign_up_is_closed_by_default() -> None:
    assert Client().post(reverse("signup"), SIGNUP_FORM).status_code == 404
    assert not User.objects.filter(username="eve").exists()


def test_anybody_can_sign_up_if_the_site_allows_it(settings: Any) -> None:
    settings.SIGNUP = True
    assert Client().post(reverse("signup"), SIGNUP_FORM).status_code == 302
    assert User.objects.filter(username="eve").exists()


def test_an_address_may_send_five_sign_ups_an_hour(settings: Any) -> None:
    settings.SIGNUP = True
    taken = {**SIGNUP_FORM, "username": "alice"}
    assert [Client().post(reverse("signup"), taken).status_code for _ in range(5)] == [200] * 5
    refused = Client().post(reverse("signup"), SIGNUP_FORM, HTTP_X_FORWARDED_FOR="10.9.9.9")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 3000
    assert not User.objects.filter(username="eve").exists()
    assert Client().post(reverse("signup"), SIGNUP_FORM, REMOTE_ADDR="10.0.0.9").status_code == 302


@pytest.fixture
def browsers() -> tuple[Client, Client]:
    """Two browsers in which alice is logged in."""
    clients = Client(), Client()
    for client in clients:
        try_password(client, "alice", "alice-password")
        assert client.get("/").status_code == 200
    return clients


def test_a_new_password_logs_other_browsers_out(browsers: tuple[Client, Client]) -> None:
    first, second = browsers
    fields = {
        "old_password": "alice-password",
        "new_password1": "correct horse battery",
        "new_password2": "correct horse battery",
    }
    assert first.post("/accounts/password/", fields).status_code == 302
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 302


def test_ending_all_sessions_logs_every_browser_out(alice: User, browsers: tuple[Client, Client]) -> None:
    alice.refresh_from_db()
    alice.end_sessions()
    assert [browser.get("/").status_code for browser in browsers] == [302, 302]


def test_a_session_ends_thirty_days_after_the_login_even_if_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    try_password(client, "alice", "alice-password")
    assert client.get("/").status_code == 200
    now = time.time()
    monkeypatch.setattr("chat.accounts.session_store.time.time", lambda: now + 29 * 86_400)
    assert client.get("/").status_code == 200
    monkeypatch.setattr("chat.accounts.session_store.time.time", lambda: now + 31 * 86_400)
    assert client.get("/").status_code == 302
