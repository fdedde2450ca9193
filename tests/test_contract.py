"""What must not change while the code does: names in the database, addresses, settings, commands, codes.

The expectations lie in `tests/data/contract.json`; `tests/contract.py` says how they are found and written.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.cache import caches
from django.core.checks import run_checks
from django.db import connection
from django.test import Client

from tests import contract
from tests.contract import lost, recorded
from tests.services import RedisServer
from tests.site import ROOT, SECRET

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
REDIS = "django_redis.cache.RedisCache"
TIMEOUTS = {"SOCKET_TIMEOUT": 0.25, "SOCKET_CONNECT_TIMEOUT": 0.25}


def missing(section: str, found: list[str]) -> set[str]:
    return set(recorded(section)) - set(found)


# The database


def test_the_app_keeps_its_label() -> None:
    assert apps.get_app_config("chat").label == "chat"


def test_the_user_model_keeps_its_name() -> None:
    assert settings.AUTH_USER_MODEL == "chat.User"


@pytest.mark.parametrize("model", sorted(recorded("models")))
def test_a_model_keeps_its_table_columns_constraints_and_indexes(model: str) -> None:
    assert lost(recorded("models")[model], contract.models().get(model, {})) == []


@pytest.mark.django_db
def test_the_tables_of_the_models_have_their_columns() -> None:
    with connection.cursor() as cursor:
        found = {
            model["table"]: {column.name for column in connection.introspection.get_table_description(cursor, name)}
            for model in recorded("models").values()
            for name in [model["table"]]
        }
    for model in recorded("models").values():
        assert {field.split()[0] for field in model["fields"].values()} <= found[model["table"]], model["table"]


def test_permissions_keep_their_names() -> None:
    assert missing("permissions", contract.permissions()) == set()


@pytest.mark.django_db
def test_migrating_makes_those_permissions() -> None:
    rows = apps.get_model("auth", "Permission").objects.filter(content_type__app_label="chat")
    found = [f"{model}.{name}" for model, name in rows.values_list("content_type__model", "codename")]
    assert missing("permissions", found) == set()


@pytest.mark.parametrize("name", sorted(recorded("migrations")))
def test_a_released_migration_is_not_edited(name: str) -> None:
    assert contract.migrations().get(name) == recorded("migrations")[name]


# Addresses


@pytest.mark.parametrize("name", sorted(recorded("urls")))
def test_an_address_keeps_its_name_and_route(name: str) -> None:
    assert set(recorded("urls")[name]) <= set(contract.urls().get(name, []))


def test_servers_find_the_application() -> None:
    assert callable(import_module("chatsite.asgi").application)


# Settings


@pytest.fixture(scope="module")
def all_settings() -> dict[str, Any]:
    return contract.settings()


@pytest.mark.parametrize("given", ["defaults", "given", "sentinels"])
def test_settings_keep_their_names(all_settings: dict[str, Any], given: str) -> None:
    assert set(recorded("settings")[given].get("names", [])) <= set(all_settings[given].get("names", []))


def without_names(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "names"}


def test_settings_keep_their_defaults(all_settings: dict[str, Any]) -> None:
    assert lost(without_names(recorded("settings")["defaults"]), all_settings["defaults"]) == []


def test_every_variable_of_the_environment_means_what_it_meant(all_settings: dict[str, Any]) -> None:
    assert lost(without_names(recorded("settings")["given"]), all_settings["given"]) == []


def test_the_address_of_sentinels_is_read_as_before(all_settings: dict[str, Any]) -> None:
    assert lost(without_names(recorded("settings")["sentinels"]), all_settings["sentinels"]) == []


def test_every_variable_is_in_the_example_file() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = {line.partition("=")[0] for line in example.splitlines() if line[:1].isupper()}
    assert contract.GIVEN.keys() <= named


# Commands


@pytest.mark.parametrize("name", sorted(recorded("commands")))
def test_a_command_keeps_its_name_and_options(name: str) -> None:
    assert lost(recorded("commands")[name], contract.commands().get(name, {})) == []


# Errors and checks


def test_error_codes_keep_their_status() -> None:
    assert lost(recorded("error_codes"), contract.error_codes()) == []


def cache(backend: str, **options: Any) -> dict[str, Any]:
    return {"default": {"BACKEND": LOCMEM}, "ratelimit": {"BACKEND": backend, "LOCATION": "", "OPTIONS": options}}


@pytest.mark.parametrize(
    ("name", "backend", "options"),
    [
        ("chat.E001", "django.core.cache.backends.dummy.DummyCache", {}),
        ("chat.E002", "django.core.cache.backends.filebased.FileBasedCache", {}),
        ("chat.W001", LOCMEM, {"MAX_ENTRIES": 300}),
        ("chat.W002", REDIS, {}),
        ("chat.W003", REDIS, {**TIMEOUTS, "IGNORE_EXCEPTIONS": True}),
        ("chat.I004", LOCMEM, {"MAX_ENTRIES": 100_000}),
    ],
)
def test_a_wrong_cache_for_limits_is_reported_under_its_id(
    settings: Any, tmp_path: Path, name: str, backend: str, options: dict[str, Any]
) -> None:
    settings.CACHES = cache(backend, **options)
    settings.CACHES["ratelimit"]["LOCATION"] = "redis://127.0.0.1:1/0" if backend == REDIS else str(tmp_path)
    assert name in [found.id for found in run_checks(include_deployment_checks=True)]


def test_a_redis_that_evicts_any_key_is_reported_under_its_id(settings: Any, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    settings.CACHES = cache(REDIS, **TIMEOUTS)
    settings.CACHES["ratelimit"]["LOCATION"] = redis_server.url
    assert "chat.W005" in [found.id for found in run_checks(include_deployment_checks=True)]


# The limiter


def test_the_limiters_script_is_not_edited() -> None:
    assert lost(recorded("scripts"), contract.scripts()) == []


@pytest.mark.django_db
def test_the_limiters_record_in_memory_has_the_fields_it_has_in_redis(client: Client) -> None:
    client.post("/accounts/login/", {"username": "alice", "password": "wrong"})
    record = caches["ratelimit"].get("rl:ip:127.0.0.1")
    kept = recorded("limiter_records")["settled limits:1:rl:ip:127.0.0.1"]
    assert set(record) == set(kept)


def test_the_session_hash_of_a_password_and_an_epoch_stays(settings: Any) -> None:
    assert settings.SECRET_KEY == SECRET
    user = apps.get_model("chat", "User")(password="a-password-hash", session_epoch=3)
    assert user.get_session_auth_hash() == recorded("signed")["session hash"]
