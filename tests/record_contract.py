"""Write `tests/data/contract.json` from today's code: `python -m tests.record_contract`."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from tests import contract  # noqa: E402
from tests.contract_site import Observed, ObservedRedis, safety_identifier  # noqa: E402
from tests.fakes import FakeProvider  # noqa: E402
from tests.services import RedisServer  # noqa: E402
from tests.site import Site  # noqa: E402

# Signed in the year 2100, so that no value expires while it is used.
SIGN = """
import json, time
time.time = lambda: 4102444800.0
from django.apps import apps
from django.core import signing
cookie = {cookie!r}
User = apps.get_model("chat", "User")
print(json.dumps({{
    "device cookie": signing.dumps(signing.loads(cookie, salt="chat.logins.device"), salt="chat.logins.device"),
    "stream check": signing.dumps("look", salt="chat.stream-check"),
    "session hash": User(password="a-password-hash", session_epoch=3).get_session_auth_hash(),
}}))
"""


def new_site(folder: Path, upstream: FakeProvider, **env: str) -> Site:
    folder.mkdir()
    site = Site(folder, OPENAI_BASE_URL=upstream.url, OPENAI_API_KEY="sk-test", **env)
    site.manage("migrate", "--verbosity", "0")
    site.add_people("alice", "bob", "sam")
    return site


def of_discovery() -> dict[str, Any]:
    return {
        "models": contract.models(),
        "permissions": contract.permissions(),
        "migrations": contract.migrations(),
        "scripts": contract.scripts(),
        "urls": contract.urls(),
        "settings": contract.settings(),
        "commands": contract.commands(),
        "error_codes": contract.error_codes(),
    }


def of_a_site(folder: Path) -> dict[str, Any]:
    with FakeProvider() as upstream:
        site = new_site(folder, upstream)
        try:
            seen = Observed(site, upstream)
            return {
                "articles": seen.articles,
                "metrics": seen.metrics(),
                "log_keys": seen.log_keys(),
                "command_output": seen.command_output(),
                "exports": seen.exports(),
                "admin_sheets": seen.admin_sheets(),
                "api_errors": seen.api_errors(),
                "ids": seen.ids(),
                "signed": json.loads(site.shell(SIGN.format(cookie=seen.alice.http.cookies["device"]))),
            }
        finally:
            site.stop()


def of_openai(folder: Path) -> dict[str, Any]:
    with FakeProvider() as upstream:
        site = new_site(folder, upstream)
        try:
            return {"safety_identifier": safety_identifier(site, upstream)}
        finally:
            site.stop()


def of_redis(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    try:
        with FakeProvider() as upstream, server.client() as client:
            site = new_site(folder / "site", upstream, REDIS_URL=server.url)
            try:
                seen = ObservedRedis(site, upstream, client)
                return {
                    "redis_keys": seen.keys(),
                    "channels": seen.channels,
                    "limiter_records": seen.record_patterns(),
                    "events": seen.event_types(),
                    "notifications": seen.notifications,
                }
            finally:
                site.stop()
    finally:
        server.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        everything = of_discovery()
        for observe in (of_a_site, of_openai, of_redis):
            everything |= observe(Path(name) / observe.__name__)
    contract.FILE.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
