"""What every response carries, error pages included."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import httpx2
import pytest
from django.test import Client

from chat.models import Conversation, Message, Plan, User
from chatsite.asgi import application

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


def check(response: Any, *, kept: bool = False) -> None:
    for name, value in ALWAYS.items():
        assert response.headers[name] == value
    policy = policy_of(response)
    for name, value in POLICY.items():
        assert policy[name] == value
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert ("no-store" in response.headers["Cache-Control"]) is not kept
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "camera=()" in response.headers["Permissions-Policy"]


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
    response = client.get("/", headers={"Host": "evil.example"})
    assert response.status_code == 400
    check(response)


def test_a_form_that_cannot_be_read_is_refused_and_carries_them(client: Client) -> None:
    response = client.generic("POST", "/c/", b"half", content_type="multipart/form-data; boundary=b")
    assert response.status_code == 400
    check(response)


def test_a_limit_carries_them(client: Client) -> None:
    Plan.objects.update(requests_per_minute=0)
    response = client.post("/c/", {"prompt": "hello"})
    assert response.status_code == 429
    check(response)


def test_a_fault_of_ours_carries_them_and_says_nothing_of_itself(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("canary-of-a-fault")

    monkeypatch.setattr("chat.web.pages.chat_context", broken)
    response = client.get("/")
    assert response.status_code == 500
    assert b"canary" not in response.content
    check(response)


def test_redirects_carry_them() -> None:
    for path in ("/", "/admin/", "/admin/chat/usagerecord/", "/usage/"):
        response = Client().get(path)
        assert response.status_code == 302
        check(response)


def test_static_files_carry_them_and_may_be_kept() -> None:
    for name in ("chat/chat.js", "chat/base.css", "chat/icon.svg", "vendor/htmx-4.0.1.min.js"):
        response = Client().get(f"/static/{name}")
        assert response.status_code == 200
        check(response, kept=True)
        response.close()
    missing = Client().get("/static/nothing.js")
    assert missing.status_code == 404
    check(missing)


def test_logging_out_clears_what_the_browser_keeps(client: Client) -> None:
    response = client.post("/accounts/logout/")
    assert response.headers["Clear-Site-Data"] == '"cache", "storage"'


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


def test_a_server_may_keep_the_headers_of_a_stream() -> None:
    """A stream lets go of those it sent; who got them has them still."""

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(f"/m/{uuid.uuid4()}/stream/", headers={"Last-Event-ID": "3"})

    response = asyncio.run(ask())
    assert "event: done" in response.text
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    check(response)


def test_cookies_are_locked_down_where_https_is_on(make_site: Any) -> None:
    site = make_site(HTTPS_ONLY="1", ALLOWED_HOSTS="chat.example.org", TRUSTED_PROXIES="1")
    names = site.shell(
        "from django.conf import settings as s\n"
        "print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY,"
        " s.SECURE_HSTS_SECONDS >= 31536000, s.SECURE_SSL_REDIRECT)"
    )
    assert names == "__Host-sessionid __Host-csrftoken True True True True"


@pytest.fixture
def scanned(make_site: Any) -> Any:
    """The site as it is shipped for a public host behind a proxy, looked at through that proxy."""
    site = make_site(HTTPS_ONLY="1", ALLOWED_HOSTS="chat.example.org,127.0.0.1", TRUSTED_PROXIES="1")
    site.start()
    headers = {"Host": "chat.example.org", "X-Forwarded-Proto": "https"}
    with httpx2.Client(base_url=site.url, headers=headers) as http:
        yield http


def test_the_rules_of_the_http_observatory_find_nothing_to_take_points_for(scanned: httpx2.Client) -> None:
    response = scanned.get("/accounts/login/")
    assert response.status_code == 200
    policy = policy_of(response)
    assert policy["default-src"] == "'none'"
    assert not {"unsafe-inline", "unsafe-eval", "data:", "http:", "https:", "*"} & {
        source.strip("'") for name in ("script-src", "style-src", "object-src") for source in policy[name].split()
    }
    assert {policy["frame-ancestors"], policy["base-uri"]} == {"'none'"}
    assert policy["form-action"] == "'self'"
    lifetime = response.headers["Strict-Transport-Security"].partition("max-age=")[2].partition(";")[0]
    assert int(lifetime) >= 15_768_000
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in response.headers
    cookies = response.headers.get_list("Set-Cookie")
    assert cookies
    for cookie in cookies:
        flags = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert cookie.startswith("__Host-")
        assert {"secure", "httponly", "path=/", "samesite=lax"} <= flags
        assert not any(flag.startswith("domain=") for flag in flags)
    for source in re.findall(r"<(?:script|link)[^>]* (?:src|href)=\"([^\"]+)", response.text):
        assert source.startswith("/"), source
        assert not source.startswith("//"), source


def test_plain_http_leads_to_https_at_the_same_host(scanned: httpx2.Client) -> None:
    response = scanned.get("/accounts/login/", headers={"X-Forwarded-Proto": "http"})
    assert response.status_code == 301
    assert response.headers["Location"] == "https://chat.example.org/accounts/login/"
