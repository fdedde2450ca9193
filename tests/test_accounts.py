"""Logging in, joining, and trying to get in."""

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
def test_the_eleventh_failure_is_refused_alike_for_known_and_unknown_names(name: str) -> None:
    client = Client()
    for _ in range(10):
        assert try_password(client, name, "wrong").status_code == 200
    refused = try_password(client, name, "alice-password")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 945  # a strict window counts in slots of a twentieth
    assert b"Too many attempts" in refused.content
    assert name.encode() not in refused.content


def test_no_password_is_hashed_for_a_refused_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    for _ in range(10):
        try_password(client, "alice", "wrong")
    monkeypatch.setattr("django.contrib.auth.authenticate", lambda *a, **k: pytest.fail("it hashed"))
    monkeypatch.setattr("django.contrib.auth.forms.authenticate", lambda *a, **k: pytest.fail("it hashed"))
    assert try_password(client, "alice", "wrong").status_code == 429


def test_success_clears_the_name() -> None:
    for _ in range(3):
        for _ in range(9):
            try_password(Client(), "alice", "wrong", REMOTE_ADDR=f"10.0.0.{_}")
        assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.1.0.1").status_code == 302


def test_strangers_cannot_lock_out_a_browser_that_has_logged_in_before() -> None:
    mine = Client()
    assert try_password(mine, "alice", "alice-password").status_code == 302
    mine.post("/accounts/logout/")
    for n in range(12):
        try_password(Client(), "alice", "wrong", REMOTE_ADDR=f"10.0.0.{n}")
    assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.2.0.1").status_code == 429
    assert try_password(mine, "alice", "alice-password").status_code == 302


def test_an_address_is_refused_whatever_names_it_tries_and_whatever_it_claims() -> None:
    for n in range(30):
        try_password(Client(), f"name{n}", "wrong", HTTP_X_FORWARDED_FOR=f"10.9.9.{n}")
    refused = try_password(Client(), "alice", "alice-password", HTTP_X_FORWARDED_FOR="10.7.7.7")
    assert refused.status_code == 429
    assert try_password(Client(), "alice", "alice-password", REMOTE_ADDR="10.3.0.1").status_code == 302


def test_parallel_attempts_admit_no_more_than_the_limit() -> None:
    def attempt(_number: int) -> int:
        with contextlib.closing(connection):  # this thread's own
            return try_password(Client(), "nobody", "wrong").status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(attempt, range(24)))
    assert codes.count(200) == 10
    assert codes.count(429) == 14


def test_the_admin_login_is_the_same_door() -> None:
    response = Client().get("/admin/")
    assert response.status_code == 302
    response = Client().get(response.headers["Location"])
    assert response.headers["Location"].startswith("/accounts/login/?next=")


@pytest.mark.parametrize("target", ["https://evil.example/", "javascript:alert(1)", "//evil.example"])
def test_a_foreign_next_leads_home(target: str) -> None:
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


def test_signing_up_is_closed_unless_it_is_opened(settings: Any) -> None:
    fields = {"username": "eve", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert Client().post(reverse("signup"), fields).status_code == 404
    settings.SIGNUP = True
    assert Client().post(reverse("signup"), fields).status_code == 302
    assert User.objects.filter(username="eve").exists()


def test_the_sixth_person_from_one_address_within_an_hour_has_to_wait(settings: Any) -> None:
    settings.SIGNUP = True
    fields = {"username": "alice", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert [Client().post(reverse("signup"), fields).status_code for _ in range(5)] == [200] * 5
    refused = Client().post(reverse("signup"), {**fields, "username": "eve"}, HTTP_X_FORWARDED_FOR="10.9.9.9")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 3000
    assert not User.objects.filter(username="eve").exists()
    assert Client().post(reverse("signup"), {**fields, "username": "eve"}, REMOTE_ADDR="10.0.0.9").status_code == 302


def test_a_new_password_and_ending_all_sessions_log_other_browsers_out(alice: User) -> None:
    first, second = Client(), Client()
    for client in (first, second):
        try_password(client, "alice", "alice-password")
        assert client.get("/").status_code == 200
    fields = {
        "old_password": "alice-password",
        "new_password1": "correct horse battery",
        "new_password2": "correct horse battery",
    }
    assert first.post("/accounts/password/", fields).status_code == 302
    assert first.get("/").status_code == 200
    assert second.get("/").status_code == 302
    alice.refresh_from_db()
    alice.end_sessions()
    assert first.get("/").status_code == 302


def test_a_session_ends_a_month_after_the_login_even_if_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    try_password(client, "alice", "alice-password")
    assert client.get("/").status_code == 200
    now = time.time()
    monkeypatch.setattr("chat.accounts.session_store.time.time", lambda: now + 29 * 86_400)
    assert client.get("/").status_code == 200
    monkeypatch.setattr("chat.accounts.session_store.time.time", lambda: now + 31 * 86_400)
    assert client.get("/").status_code == 302
