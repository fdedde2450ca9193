"""Fixtures of the tests of commands."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from chat.models import ChatModel, ModelPrice, User
from tests.commands.terminal import Terminal


@pytest.fixture
def manage(transactional_db: Any, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def alice(transactional_db: Any) -> User:
    return User.objects.create_user("alice", email="alice@example.org")


@pytest.fixture
def gpt_4o(transactional_db: Any) -> ChatModel:
    """One disabled model with a price, instead of the models that the migrations create."""
    ChatModel.objects.all().delete()
    model = ChatModel.objects.create(name="gpt-4o", enabled=False)
    then = timezone.now() - dt.timedelta(days=9)
    ModelPrice.objects.create(model=model, valid_from=then, prompt=2_500_000, completion=10_000_000)
    return model
