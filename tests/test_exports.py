"""Conversations can be exported: one, or all of a user's."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from typing import Any

import pytest
from django.test import Client

from chat.models import User
from tests.conversations import conversation_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password="alice-password")


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


async def read(response: Any) -> bytes:
    return b"".join([part async for part in response])


def body_of(response: Any) -> bytes:
    return asyncio.run(read(response))


def test_a_conversation_is_exported_as_markdown(client: Client, alice: User) -> None:
    conversation = conversation_of(alice, "Öl & <wine>/..")
    response = client.get(f"/c/{conversation.pk}/export/")
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert "Answer in Öl & <wine>/.." in response.text


def test_the_name_of_an_exported_file_is_plain(client: Client, alice: User) -> None:
    conversation = conversation_of(alice, "Öl & <wine>/..")
    response = client.get(f"/c/{conversation.pk}/export/")
    assert re.fullmatch(r'attachment; filename="[\w.-]+\.md"', response.headers["Content-Disposition"])


def test_a_conversation_is_exported_as_json(client: Client, alice: User) -> None:
    conversation = conversation_of(alice)
    data = json.loads(client.get(f"/c/{conversation.pk}/export/?format=json").content)
    assert [message["role"] for message in data["messages"]] == ["user", "assistant"]


def test_an_unknown_format_is_markdown(client: Client, alice: User) -> None:
    response = client.get(f"/c/{conversation_of(alice).pk}/export/?format=exe")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"


def test_all_conversations_are_exported_as_json(client: Client, alice: User) -> None:
    for title in ("same", "same", "other"):
        conversation_of(alice, title)
    data = json.loads(body_of(client.get("/export/?format=json")))
    assert sorted(each["title"] for each in data["conversations"]) == ["other", "same", "same"]


def test_all_conversations_are_exported_as_an_archive(client: Client, alice: User) -> None:
    for title in ("same", "same", "other"):
        conversation_of(alice, title)
    with zipfile.ZipFile(io.BytesIO(body_of(client.get("/export/")))) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == 3
        assert all(re.fullmatch(r"[\w-]+\.md", name) for name in archive.namelist())


def test_conversations_of_others_are_not_exported(client: Client) -> None:
    conversation_of(User.objects.create_user("bob"), "bobs")
    assert json.loads(body_of(client.get("/export/?format=json"))) == {"conversations": []}


def test_an_archive_without_conversations_is_empty(client: Client) -> None:
    assert zipfile.ZipFile(io.BytesIO(body_of(client.get("/export/")))).namelist() == []
