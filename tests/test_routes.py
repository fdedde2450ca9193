"""A new route cannot forget who may use it."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from chat.models import ApiKey, Conversation, Message, User

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = {
    "api-docs",
    "api-openapi",
    "login",
    "logout",
    "signup",
    "password_reset",
    "password_reset_done",
    "password_reset_confirm",
    "admin-login",
    "password_reset_complete",
    "favicon",
    "healthz",
    "readyz",
    "metrics",
}
OF_A_PERSON = {"conversation_id", "message_id", "chat_id", "key_id"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def patterns() -> list[URLPattern]:
    """All but those of the admin."""
    found: list[URLPattern] = []
    included: list[Any] = list(get_resolver().url_patterns)
    for item in included:
        if isinstance(item, URLResolver):
            if str(item.pattern) != "admin/":
                included += item.url_patterns
        elif not str(item.pattern).startswith("static"):
            found.append(item)
    return found


@pytest.fixture
def alices(db: Any) -> dict[str, Any]:
    alice = User.objects.create_user("alice", password="alice-password")
    conversation = Conversation.objects.create(user=alice, title="alices secret", client_id="alices-chat")
    question = Message.objects.create(conversation=conversation, role="user", content="alices secret")
    answer = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content="alices secret"
    )
    conversation.head = answer
    conversation.save()
    key = ApiKey.objects.create(user=alice, name="alices secret", digest="0" * 64)
    return {
        "conversation_id": conversation.pk,
        "message_id": answer.pk,
        "chat_id": "alices-chat",
        "key_id": key.pk,
    }


def address(pattern: URLPattern, values: dict[str, Any]) -> str:
    path = "/" + str(pattern.pattern)
    for name in pattern.pattern.converters:
        assert name in values or name in ("uidb64", "token"), f"{pattern.name}: say here what {name} is"
        before, _, rest = path.partition("<")
        _, _, after = rest.partition(">")
        path = f"{before}{values.get(name, 'x')}{after}"
    return path


@pytest.mark.parametrize("pattern", patterns(), ids=lambda item: str(item.name))
def test_nobody_gets_in_without_logging_in(pattern: URLPattern, alices: dict[str, Any]) -> None:
    for method in METHODS:
        response = Client().generic(method, address(pattern, alices))
        if pattern.name in OPEN:
            assert response.status_code in (200, 302, 404, 405), (method, response.status_code)
        else:
            assert response.status_code in (302, 401, 403, 405), (method, response.status_code)
            if response.status_code == 302:
                assert response.headers["Location"].startswith("/accounts/login/")


def without_tokens(body: bytes) -> bytes:
    """The page without what is drawn anew for each request."""
    return re.sub(rb"\b[A-Za-z0-9]{64}\b|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"", body)


PERSONAL = [pattern for pattern in patterns() if set(pattern.pattern.converters) & OF_A_PERSON]


@pytest.mark.parametrize("staff", [False, True])
@pytest.mark.parametrize("pattern", PERSONAL, ids=lambda item: str(item.name))
def test_other_peoples_things_look_as_if_they_were_not_there(
    pattern: URLPattern, staff: bool, alices: dict[str, Any]
) -> None:
    unknown = {"conversation_id": uuid.uuid4(), "message_id": uuid.uuid4(), "chat_id": "nobodys-chat", "key_id": 0}
    client = Client()
    client.force_login(User.objects.create_user("bob", is_staff=staff))
    for method in METHODS:
        data = {"prompt": "hello", "title": "mine now"} if method == "POST" else {}
        answers = []
        for values in (alices, unknown):
            path = address(pattern, values)
            response = client.post(path, data) if method == "POST" else client.generic(method, path)
            body = b"" if response.streaming else response.content
            assert b"alices secret" not in body
            body = body.replace(path.encode(), b"")
            headers = {name: value for name, value in response.headers.items() if name != "X-Request-ID"}
            answers.append((response.status_code, without_tokens(body), headers))
        assert answers[0] == answers[1], (method, answers)
        assert answers[0][0] in (204, 404, 405), (method, answers[0][0])
    assert Conversation.objects.get(pk=alices["conversation_id"]).title == "alices secret"
