"""`manage.py export`: all data of a user, and nothing of others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.utils import timezone

from chat.accounts import api_keys
from chat.models import Conversation, LimitOverride, User
from tests.commands.terminal import Terminal, add_conversation, add_usage


@dataclass
class Export:
    folder: Path
    chat: Conversation
    secrets: list[str]
    key_prefix: str
    output: str


@pytest.fixture
def export(manage: Terminal, alice: User, tmp_path: Path) -> Export:
    """The export of alice, who has two conversations, a key and a limit of her own; bob has a conversation."""
    bob = User.objects.create_user("bob", email="bob@example.org")
    add_conversation(bob, title="Bobs own")
    chat = add_conversation(alice, title="Tea & <b>cake</b>\n# no heading")
    add_conversation(alice, title="Gone", deleted_at=timezone.now())
    key, secret = api_keys.create(alice, "laptop")
    LimitOverride.objects.create(user=alice, rule="requests_per_day", value=3, reason="new here")
    add_usage(alice)
    folder = tmp_path / "deep" / "alice"
    code, out, _err = manage("export", "alice", "--to", str(folder))
    assert code == 0
    secrets = [secret, key.digest, alice.password, "bob", "Bobs own"]
    return Export(folder=folder, chat=chat, secrets=secrets, key_prefix=key.prefix, output=out)


def test_it_says_how_many_conversations_it_wrote(export: Export) -> None:
    assert "2 conversations" in export.output


def test_the_document_holds_all_data_of_the_user(export: Export) -> None:
    data = json.loads((export.folder / "export.json").read_text())
    assert data["account"]["email"] == "alice@example.org"
    assert [each["title"] for each in data["conversations"]] == ["Tea & <b>cake</b>\n# no heading", "Gone"]
    assert [each["content"] for each in data["conversations"][0]["messages"]] == ["Why?", "Because."]
    assert data["api_keys"][0]["prefix"] == export.key_prefix
    assert data["limit_overrides"][0]["value"] == 3
    assert data["usage"][0]["cost"] == data["daily_usage"][0]["cost"] == 7


def test_the_document_holds_no_secret_and_nothing_of_others(export: Export) -> None:
    text = (export.folder / "export.json").read_text()
    assert [secret for secret in export.secrets if secret in text] == []


def test_without_a_folder_the_document_is_printed(export: Export, manage: Terminal) -> None:
    assert manage("export", "alice")[1] == (export.folder / "export.json").read_text()


def test_each_conversation_is_a_markdown_file(export: Export) -> None:
    (document,) = export.folder.glob(f"conversations/*{export.chat.pk}.md")
    assert document.read_text().startswith("# Tea & <b>cake</b> # no heading\n\n## You")


def test_only_the_owner_may_read_the_files(export: Export) -> None:
    assert {path.stat().st_mode & 0o777 for path in export.folder.rglob("*") if path.is_file()} == {0o600}


def test_a_folder_with_files_is_not_overwritten(export: Export, manage: Terminal) -> None:
    code, _out, err = manage("export", "alice", "--to", str(export.folder))
    assert (code, err) == (1, f"CommandError: {export.folder} is not empty.\n")
