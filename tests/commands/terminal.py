"""Run a command as the shell would, and rows for the commands to work on."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.core.management import load_command_class
from django.utils import timezone

from chat.models import Conversation, Message, Outcome, UsageRecord, User


class Terminal:
    """Runs commands inside this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, name: str, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        self.capsys.readouterr()
        code = 0
        try:
            load_command_class("chat", name).run_from_argv(["manage.py", name, *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err


def add_conversation(user: User, *, days_ago: float = 0, status: str = "complete", **more: Any) -> Conversation:
    """A conversation of one question and one answer."""
    then = timezone.now() - dt.timedelta(days=days_ago)
    values = {"title": "Tea", "created_at": then, "updated_at": then, **more}
    conversation = Conversation.objects.create(user=user, **values)
    question = Message.objects.create(conversation=conversation, role="user", content="Why?", created_at=then)
    conversation.head = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content="Because.", status=status, model="m"
    )
    conversation.save()
    return conversation


def add_usage(user: User, **more: Any) -> None:
    """One ledger row and its daily total."""
    fields = {"model": "m", "status": "complete", "prompt_tokens": 10, "completion_tokens": 5, "cost": 7, **more}
    UsageRecord.objects.record(
        Outcome(message_id=uuid.uuid4(), conversation_id=uuid.uuid4(), user_id=user.pk, **fields)
    )
