"""Fixtures of every test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.signals import setting_changed

from chat.infra.process import process
from tests.fakes import (
    FakeProvider,
    fake_provider,  # noqa: F401
)
from tests.services import RedisServer, name_of, postgres_answers, postgres_database
from tests.site import Site


def require_service(reason: str) -> None:
    """Skips with a plain reason; fails where the run demands every service."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"REQUIRE_SERVICES=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    """What migrations put into the tables is there for every test, also after one that emptied them."""
    marker = request.node.get_closest_marker("django_db")
    emptying = "transactional_db" in request.fixturenames or bool(marker and marker.kwargs.get("transaction"))
    if not (marker or emptying or "db" in request.fixturenames):
        return
    request.getfixturevalue("transactional_db" if emptying else "db")
    if not apps.get_model("chat", "Plan").objects.exists():
        import_module("chat.migrations.0002_seed").seed(apps, None)


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    """Ids come again after a rollback, and with them the limits counted under them, by whichever thread."""
    for cache in caches.all():
        if isinstance(cache, LocMemCache):
            cache.clear()


def _forget_parts(*, setting: str, **_kwargs: object) -> None:
    if setting in ("CACHES", "TIME_ZONE"):
        process.forget()


@pytest.fixture(autouse=True, scope="session")
def parts_follow_settings() -> Iterator[None]:
    """What the process keeps in memory is created again when a test changes the settings it was created from."""
    setting_changed.connect(_forget_parts)
    yield
    setting_changed.disconnect(_forget_parts)


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    """A fake provider for a site that runs in its own process."""
    with FakeProvider() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file with alice, bob and sam (staff), to copy from."""
    folder = tmp_path_factory.mktemp("migrated")
    site = Site(folder)
    site.manage("migrate", "--verbosity", "0")
    site.add_people("alice", "bob", "sam")
    site.shell("from django.db import connection; connection.cursor().execute('PRAGMA wal_checkpoint(TRUNCATE)')")
    return folder / "site.sqlite3"


@pytest.fixture
def make_site(tmp_path: Path, migrated: Path, upstream: FakeProvider) -> Iterator[Callable[..., Site]]:
    """Makes sites that use `upstream` as their provider; stops them after the test."""
    sites: list[Site] = []

    def make(**env: str) -> Site:
        folder = tmp_path / f"site-{len(sites)}"
        folder.mkdir()
        shutil.copy(migrated, folder / "site.sqlite3")
        site = Site(folder, **{"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", **env})
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.stop()


@pytest.fixture(scope="module")
def make_module_site(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Callable[..., Site]]:
    """Like `make_site`, for fixtures of a whole module; the caller names the provider."""
    sites: list[Site] = []

    def make(**env: str) -> Site:
        folder = tmp_path_factory.mktemp("site")
        shutil.copy(migrated, folder / "site.sqlite3")
        sites.append(Site(folder, **env))
        return sites[-1]

    yield make
    for site in sites:
        site.stop()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    site = make_site()
    site.start()
    return site


@pytest.fixture(scope="session")
def migrated_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a migrated PostgreSQL database with alice, bob and sam, to use as a template."""
    if not postgres_answers():
        require_service("PostgreSQL does not answer")
    with postgres_database() as url:
        site = Site(tmp_path_factory.mktemp("postgres"), DATABASE_URL=url)
        site.manage("migrate", "--verbosity", "0")
        site.add_people("alice", "bob", "sam")
        yield name_of(url)


@pytest.fixture
def postgres(migrated_postgres: str) -> Iterator[str]:
    """The `DATABASE_URL` of a migrated PostgreSQL database of this test's own."""
    with postgres_database(migrated_postgres) as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of this test's own."""
    if not RedisServer.is_there():
        require_service("redis-server is not installed")
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
