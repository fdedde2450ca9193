"""`manage.py apikey`, and what a key is worth."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from chat.accounts import api_keys
from chat.models import ApiKey, User
from tests.commands.terminal import Terminal


@pytest.fixture
def secret(manage: Terminal, alice: User) -> str:
    """The secret of a new key."""
    code, out, err = manage("apikey", "create", "alice", "--name", "laptop", "--expires", "90d")
    assert code == 0
    assert "shown once" in err
    return out.strip()


def test_only_a_hash_of_the_secret_is_stored(secret: str) -> None:
    key = ApiKey.objects.get()
    assert secret.startswith("cs_")
    assert secret not in (key.prefix, key.digest)
    assert len(key.digest) == 64


def test_the_secret_identifies_the_key(secret: str) -> None:
    assert api_keys.authenticate(secret) == ApiKey.objects.get()


def test_the_list_shows_the_last_use_and_not_the_secret(manage: Terminal, secret: str) -> None:
    api_keys.authenticate(secret)
    _code, out, _err = manage("apikey", "list", "--format", "json")
    (row,) = json.loads(out)
    assert (row["prefix"], row["user"], row["name"]) == (ApiKey.objects.get().prefix, "alice", "laptop")
    assert row["last_used"]
    assert secret not in out


def test_a_revoked_key_is_worth_nothing(manage: Terminal, secret: str) -> None:
    prefix = ApiKey.objects.get().prefix
    assert manage("apikey", "revoke", prefix)[:2] == (0, f"Revoked {prefix}.\n")
    assert api_keys.authenticate(secret) is None


def test_a_key_is_revoked_once(manage: Terminal, secret: str) -> None:
    prefix = ApiKey.objects.get().prefix
    manage("apikey", "revoke", prefix)
    assert manage("apikey", "revoke", prefix)[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: "",
        lambda secret: "cs_",
        lambda secret: secret[:-1],
        lambda secret: secret + "x",
        lambda secret: secret[:-1] + "é",
        lambda secret: "sk_" + secret[3:],
        lambda secret: secret.swapcase(),
    ],
    ids=["empty", "mark", "short", "long", "not ASCII", "other mark", "other case"],
)
def test_a_wrong_secret_is_worth_nothing(secret: str, change: Any) -> None:
    assert api_keys.authenticate(change(secret)) is None


def test_the_key_of_an_inactive_user_is_worth_nothing(secret: str) -> None:
    User.objects.update(is_active=False)
    assert api_keys.authenticate(secret) is None


def test_an_expired_key_is_worth_nothing(alice: User) -> None:
    _key, secret = api_keys.create(alice, "x", expires_at=timezone.now() + dt.timedelta(hours=1))
    assert api_keys.authenticate(secret)
    ApiKey.objects.update(expires_at=timezone.now())
    assert api_keys.authenticate(secret) is None


def test_using_a_key_often_writes_once_a_minute(secret: str, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        api_keys.authenticate(secret)
    with django_assert_num_queries(1):
        api_keys.authenticate(secret)
