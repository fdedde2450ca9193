"""What every response carries, error pages included."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from chat.models import Conversation, Message, User

pytestmark = pytest.mark.django_db(transaction=True)

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.fixture
def client(db: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("sam"))
    return client


def policy_of(response: Any) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split(";"))


def check(response: Any) -> None:
    for name, value in ALWAYS.items():
        assert response.headers[name] == value
    policy = policy_of(response)
    for name, value in POLICY.items():
        assert policy[name] == value
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/accounts/password/", 200),
        ("GET", "/admin/", 200),
        ("GET", "/admin/chat/usagerecord/", 200),
        ("GET", "/nothing/here", 404),
        ("GET", "/c/", 405),
        ("POST", "/c/", 422),
        ("PUT", "/c/", 405),
        ("FOO", "/c/", 405),
        ("GET", "/healthz", 200),
    ],
)
def test_pages_and_errors_carry_them(client: Client, method: str, path: str, status: int) -> None:
    response = client.generic(method, path)
    assert response.status_code == status
    if status == 405:
        assert response.headers["Allow"]
    check(response)


def test_the_login_page_carries_them() -> None:
    check(Client().get("/accounts/login/"))


def test_a_post_without_a_token_is_refused_and_carries_them() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("alice"))
    response = client.post("/c/", {"prompt": "hello"})
    assert response.status_code == 403
    assert b"Your session has expired" in response.content
    assert Message.objects.count() == 0
    check(response)


def test_a_wrong_host_is_refused(client: Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_a_stream_is_not_cached_nor_buffered(client: Client) -> None:
    conversation = Conversation.objects.create(user=User.objects.get())
    answer = Message.objects.create(conversation=conversation, role="assistant", content="hello")
    response = client.get(f"/m/{answer.pk}/stream/?protocol=sse")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache, no-store, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    check(response)
    assert client.get(f"/m/{answer.pk}/stream/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_cookies_are_locked_down_where_https_is_on(make_site: Any) -> None:
    site = make_site(HTTPS_ONLY="1", ALLOWED_HOSTS="chat.example.org", TRUSTED_PROXIES="1")
    names = site.shell(
        "from django.conf import settings as s\n"
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY,"
        " s.SECURE_HSTS_SECONDS >= 31536000, s.SECURE_SSL_REDIRECT)"
    )
    assert names == "__Host-sessionid __Host-csrftoken True True True True"
