"""Who may call the API, and how everybody else is told no."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chat.accounts import api_keys
from chat.models import Conversation, Message, User

pytestmark = pytest.mark.django_db(transaction=True)

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
CSRF = "Your session has expired. Reload the page; your text is kept."
ELSEWHERE = "https://app.example.org"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="alice-password")


def post(client: Client, path: str = "/api/chat", body: Any = HELLO, **options: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return client.post(path, raw, content_type=options.pop("content_type", "application/json"), **options)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def logged_in(user: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def token(client: Client) -> str:
    client.get("/accounts/login/")
    return client.cookies["csrftoken"].value


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/api/chat", HELLO, "application/json"),
        ("/api/chat", {**HELLO, "id": "c", "trigger": "submit-message"}, "text/plain"),
        ("/api/chat?protocol=text", HELLO, "text/plain"),
        ("/api/completion", {"prompt": "Hello"}, "text/plain"),
        ("/api/chat", {}, "application/problem+json"),
    ],
)
def test_a_stranger_is_told_in_the_manner_of_the_dialect(path: str, body: Any, kind: str) -> None:
    response = post(Client(enforce_csrf_checks=True), path, body)
    assert response.status_code == 401
    assert response.headers["Content-Type"].startswith(kind)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "Log in, or send a valid API key." in response.content.decode()


def test_a_key_opens_the_door_until_it_is_revoked_or_expired(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    key, secret = api_keys.create(alice, "test")
    stop = "/api/chat/any/stop"
    assert post(client, stop, headers=bearer(secret)).status_code == 204
    assert post(client, stop, headers={"Authorization": f"bearer  {secret}"}).status_code == 204
    for wrong in ("", "cs_", secret[:-1], secret + "x", "é" * 46, secret.upper()):
        assert post(client, stop, headers=bearer(wrong)).status_code == 401
    api_keys.revoke(key)
    assert post(client, stop, headers=bearer(secret)).status_code == 401
    key, secret = api_keys.create(alice, "test")
    type(key).objects.filter(pk=key.pk).update(expires_at=timezone.now())
    assert post(client, stop, headers=bearer(secret)).status_code == 401
    _key, secret = api_keys.create(alice, "test")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert post(client, stop, headers=bearer(secret)).status_code == 401


def test_a_session_needs_its_token(alice: User) -> None:
    client = logged_in(alice)
    for path, kind in (("/api/chat", "application/json"), ("/api/chat?protocol=ui", "text/plain")):
        for headers in ({}, {"X-CSRFToken": "x" * 32}, {"X-CSRFToken": token(client), "Origin": ELSEWHERE}):
            response = post(client, path, headers=headers)
            assert response.status_code == 403
            assert response.headers["Content-Type"].startswith(kind)
            assert CSRF in response.content.decode()
    assert post(client, "/api/chat/any/stop", headers={"X-CSRFToken": token(client)}).status_code == 204
    assert not Message.objects.exists()


def test_a_key_is_judged_alone_even_beside_a_session(alice: User) -> None:
    bob = User.objects.create_user("bob")
    client = logged_in(alice)
    assert post(client, "/api/chat/any/stop", headers=bearer("cs_wrong")).status_code == 401
    assert post(client, "/api/chat/any/stop", headers=bearer(api_keys.create(bob, "test")[1])).status_code == 204
    # Nowhere else does a key take the place of the token.
    assert client.post("/c/", {"prompt": "hi"}, headers=bearer(api_keys.create(alice, "test")[1])).status_code == 403


def test_pages_of_other_sites_get_nothing_from_a_session(alice: User) -> None:
    response = logged_in(alice).get("/api/chat/any/stream", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert "Access-Control-Allow-Origin" not in response.headers


def test_named_origins_may_call_with_a_key_and_never_with_cookies(alice: User, settings: Any) -> None:
    preflight = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
    assert Client().options("/api/chat", headers=preflight).status_code == 405
    settings.API_CORS_ORIGINS = [ELSEWHERE]
    response = Client().options("/api/chat", headers=preflight)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (204, ELSEWHERE)
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    refused = post(Client(), headers={"Origin": ELSEWHERE})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ELSEWHERE)
    assert "Origin" in refused.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in {*response.headers, *refused.headers}
    for path, origin in (("/api/chat", "https://evil.example.org"), ("/", ELSEWHERE)):
        other = Client().options(path, headers={**preflight, "Origin": origin})
        assert "Access-Control-Allow-Origin" not in other.headers


def says(text: object, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text, **more}]}


BAD = {
    "not JSON": (b"{", 400),
    "invalid UTF-8": (b'{"messages":[{"role":"user","content":"\xff"}]}', 400),
    "nothing": (b"", 400),
    "a list": ([], 400),
    "a number": (7, 400),
    "null": (None, 400),
    "no messages": ({"id": "c"}, 400),
    "text is null": (says(None), 400),
    "text is an object": (says({"a": 1}), 400),
    "text is a list": (says([1]), 400),
    "text is a number": (says(1), 400),
    "text is true": (says(True), 400),
    "very deep": (b'{"messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
    "an integer of 5000 digits": (b'{"messages":[{"role":"user","content":' + b"1" * 5000 + b"}]}", 400),
    "NaN": (b'{"messages":[{"role":"user","content":"hi"}],"x":NaN}', 400),
    "Infinity": (b'{"messages":[{"role":"user","content":"hi"}],"x":Infinity}', 400),
    "a stream that is no switch": ({**says("hi"), "stream": "no"}, 400),
    "an id with a NUL": ({**says("hi"), "id": "a\0"}, 400),
    "an empty message": (says(" \n"), 422),
    "files alone": (says("", parts=[{"type": "file", "url": "data:,x"}]), 422),
    "too long": (says("x" * 32_001), 422),
    "an unknown model": ({**says("hi"), "model": "gpt-9"}, 422),
    "a model with a line end": ({**says("hi"), "model": "gpt\n4"}, 422),
    "a model of a megabyte": ({**says("hi"), "model": "m" * 900_000}, 422),
    "too many messages": ({"messages": [{"role": "user", "content": "hi"}] * 201}, 413),
    "more than a megabyte": (says("x" * 1_100_000), 413),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_reaches_nobody(case: str, alice: User) -> None:
    body, status = BAD[case]
    headers = bearer(api_keys.create(alice, "test")[1])
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        response = post(Client(), body=body, headers=headers, content_type=content_type)
        assert response.status_code == status, response.content
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("query", ["stream=2", "resume=yes", "protocol=html", "protocol="])
def test_an_unknown_option_of_the_address_is_refused(query: str, alice: User) -> None:
    response = post(Client(), f"/api/chat?{query}", headers=bearer(api_keys.create(alice, "test")[1]))
    assert response.status_code == 400


def test_forms_with_files_are_no_json(alice: User) -> None:
    headers = bearer(api_keys.create(alice, "test")[1])
    assert Client().post("/api/chat", {"messages": "x"}, headers=headers).status_code == 400
    assert Client().post("/api/chat", b"x", content_type="multipart/form-data", headers=headers).status_code == 400


def test_other_methods_do_nothing(alice: User) -> None:
    headers = bearer(api_keys.create(alice, "test")[1])
    for path in ("/api/chat", "/api/completion", "/api/chat/c/stream", "/api/chat/c/stop"):
        for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "FOO"):
            response = Client().generic(method, path, headers=headers)
            assert (response.status_code, bool(response.headers["Allow"])) == (405, True), (method, path)


def test_odd_names_of_chats_are_unknown_ones(alice: User) -> None:
    headers = bearer(api_keys.create(alice, "test")[1])
    for chat_id in ("%00", "%ff", "x" * 5000, "..", "%2e%2e%2fetc", "9" * 400, "%ed%a0%80", "é", "a%2fb"):
        assert Client().get(f"/api/chat/{chat_id}/stream", headers=headers).status_code == 204, chat_id
        assert post(Client(), f"/api/chat/{chat_id}/stop", headers=headers).status_code == 204, chat_id
