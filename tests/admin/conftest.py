"""Fixtures of the tests of the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from chat.models import Conversation, Message, ServerProcess, UsageRecord, User
from tests.admin.rows import SECRET, add_record
from tests.admin.sample import Row, add_rows


@pytest.fixture(autouse=True)
def _empty_limits() -> None:
    caches["ratelimit"].clear()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", pk=1)


@pytest.fixture
def boss(db: None) -> Client:
    """The client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def chat(alice: User) -> Conversation:
    """A conversation whose every text contains `SECRET`."""
    conversation = Conversation.objects.create(user=alice, title=f"{SECRET} title", system_prompt=f"{SECRET} system")
    question = Message.objects.create(conversation=conversation, role="user", content=f"{SECRET} <b>question</b>")
    answer = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content=f"{SECRET} answer", model="gpt-4o"
    )
    Conversation.objects.filter(pk=conversation.pk).update(head=answer)
    return conversation


@pytest.fixture
def running(alice: User) -> Message:
    """A running answer of another process."""
    process = ServerProcess.objects.create(host="web-1", pid=1)
    return Message.objects.create(
        conversation=Conversation.objects.create(user=alice),
        role="assistant",
        status="streaming",
        content=SECRET + "x" * 400,
        model="gpt-4o",
        prompt_tokens=100,
        reserved_tokens=1800,
        owner=process,
    )


@pytest.fixture
def ledger(alice: User, chat: Conversation) -> UsageRecord:
    """The ledger row of the answer in `chat`."""
    return add_record(alice, conversation_id=chat.pk, prompt_tokens=7, completion_tokens=5, cost=1_500_000)


@pytest.fixture
def rows(db: None) -> list[Row]:
    """What is in the ledger rows of some weeks."""
    return add_rows()


@pytest.fixture
def addresses(ledger: UsageRecord, running: Message, chat: Conversation) -> dict[str, str]:
    """The own pages of the admin by the name of their URL."""
    arguments: dict[str, tuple[Any, ...]] = {
        "admin:chat_dashboard": (),
        "admin:chat_usagerecord_changelist": (),
        "admin:chat_usagerecord_change": (ledger.pk,),
        "admin:chat_live": (),
        "admin:chat_health": (),
        "admin:chat_user_limits": (1,),
        "admin:chat_user_limits_reset": (1,),
        "admin:chat_read": (chat.pk,),
        "admin:chat_conversationreading_changelist": (),
        "admin:chat_stop": (running.pk,),
    }
    return {name: reverse(name, args=values) for name, values in arguments.items()}
