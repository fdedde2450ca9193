"""A wrong setting stops the start with one line that names the variable and never shows its value."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from chatsite.env import Environment
from chatsite.languages import available_languages
from tests.site import Site

SECRET = "canary-5up3r"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", SECRET),
        ("HTTPS_ONLY", SECRET),
        ("SECRET_KEY", SECRET),
        ("CSRF_TRUSTED_ORIGINS", f"chat.example.org/{SECRET}"),
        ("API_CORS_ORIGINS", SECRET),
        ("TRUSTED_PROXIES", "-1"),
        ("TIME_ZONE", SECRET),
        ("DATABASE_URL", f"mysql://{SECRET}@host/name"),
        ("DATABASE_URL", f"postgres://user:{SECRET}@host:port/name"),
        ("REDIS_URL", f"http://:{SECRET}@host"),
        ("REDIS_URL", f"redis://:{SECRET}@host:port"),
        ("REDIS_URL", f"redis+sentinel://:{SECRET}@host:26379"),
        ("REDIS_URL", f"redis+sentinel://:{SECRET}@host:26379/name/first"),
        ("REDIS_URL", "redis+sentinel://host:26379/MyMaster"),
        ("EMAIL_URL", SECRET),
        ("OPENAI_BASE_URL", f"ftp://{SECRET}"),
        ("OPENAI_BASE_URL", f"https://user:{SECRET}@host/v1"),
        ("CHAT_MAX_PROMPT_CHARS", "0"),
        ("CHAT_MAX_MESSAGES", SECRET),
        ("CHAT_MAX_OUTPUT_TOKENS", "9" * 400),
        ("CHAT_ON_DISCONNECT", f"grace:{SECRET}"),
        ("CHAT_FIRST_TOKEN_TIMEOUT", "nan"),
        ("CHAT_STALL_TIMEOUT", "0"),
        ("CHAT_ANSWER_TIMEOUT", "-5"),
        ("LIMITER_WHEN_DOWN", SECRET),
        ("LOG_LEVEL", SECRET),
    ],
)
def test_a_wrong_value_stops_the_start_in_one_line(make_site: Callable[..., Site], name: str, value: str) -> None:
    site = make_site()
    site.env[name] = value
    result = site.manage("check", check=False)
    assert result.returncode == 1
    (line,) = (line for line in result.stderr.splitlines() if line.strip())
    assert name in line
    assert SECRET not in result.stdout + result.stderr


def test_debug_on_a_public_host_stops_the_start(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.env |= {"DEBUG": "1", "ALLOWED_HOSTS": "chat.example.org"}
    result = site.manage("check", check=False)
    assert result.returncode == 1
    assert "DEBUG" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_value_counts_as_unset(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.env |= {"CHAT_STALL_TIMEOUT": " ", "OPENAI_BASE_URL": "", "TIME_ZONE": ""}
    assert site.shell("from django.conf import settings as s; print(s.CHAT_STALL_TIMEOUT, s.TIME_ZONE)") == "60 UTC"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Environment]]:
    """Environments with these lines in `.env`; what that adds to the process's variables is removed again."""
    before = dict(os.environ)

    def make(*lines: str, **variables: str) -> Environment:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        (tmp_path / ".env").write_text("\n".join(lines))
        return Environment(tmp_path / ".env")

    yield make
    for name in set(os.environ) - set(before):
        del os.environ[name]


def test_a_value_in_the_dotenv_file_is_read(read: Callable[..., Environment]) -> None:
    assert read("export A_NAME='a value'").text("A_NAME") == "a value"


def test_the_environment_wins_over_the_dotenv_file(read: Callable[..., Environment]) -> None:
    assert read("A_NAME=file", A_NAME="environment").text("A_NAME") == "environment"


def test_a_value_in_the_dotenv_file_is_taken_as_it_is_written(read: Callable[..., Environment]) -> None:
    assert read("A_NAME=pass${word}").text("A_NAME") == "pass${word}"


@pytest.mark.parametrize(
    ("value", "flag"), [("1", True), (" On ", True), ("yes", True), ("0", False), ("FALSE", False)]
)
def test_a_flag_has_common_spellings(read: Callable[..., Environment], value: str, flag: bool) -> None:
    assert read(A_NAME=value).flag("A_NAME", not flag) is flag


def test_a_relative_sqlite_path_is_in_the_data_folder(read: Callable[..., Environment], tmp_path: Path) -> None:
    database = read(A_NAME="sqlite:///chat.db").database("A_NAME", tmp_path)
    assert database["NAME"] == f"{tmp_path}/chat.db"


def test_an_absolute_sqlite_path_is_kept(read: Callable[..., Environment], tmp_path: Path) -> None:
    database = read(A_NAME=f"sqlite:///{tmp_path}/a%20b.db").database("A_NAME", Path("unused"))
    assert database["NAME"] == f"{tmp_path}/a b.db"


def test_a_postgres_address_becomes_settings(read: Callable[..., Environment], tmp_path: Path) -> None:
    value = "postgres://al%40ice:p%2Fw@db.example.org:5433/chat?sslmode=require"
    database = read(A_NAME=value).database("A_NAME", tmp_path)
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert [database[name] for name in ("USER", "PASSWORD", "HOST", "NAME")] == [
        "al@ice",
        "p/w",
        "db.example.org",
        "chat",
    ]
    assert str(database["PORT"]) == "5433"
    assert database["OPTIONS"] == {"connect_timeout": 5, "sslmode": "require"}
    assert (database["CONN_MAX_AGE"], database["CONN_HEALTH_CHECKS"]) == (300, True)


def test_a_postgres_server_may_be_named_by_its_socket_folder(read: Callable[..., Environment], tmp_path: Path) -> None:
    database = read(A_NAME="postgres:///chat?host=/run/postgresql").database("A_NAME", tmp_path)
    assert database["HOST"] == "/run/postgresql"
    assert "host" not in database["OPTIONS"]


@pytest.mark.parametrize(
    "value", ["sqlite://", "sqlite://:memory:", "sqlite:///:memory:", "mysql://h/n", "postgres://h"]
)
def test_no_other_database_is_accepted(read: Callable[..., Environment], tmp_path: Path, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="A_NAME must be a sqlite:/// or postgres:// address"):
        read(A_NAME=value).database("A_NAME", tmp_path)


@pytest.mark.django_db
def test_a_page_is_whole_in_english_whatever_a_browser_asks_for(client: Client) -> None:
    page = client.get("/accounts/login/", headers={"Accept-Language": "de"}).content.decode()
    assert '<html lang="en"' in page
    assert ">Password<" in page


def test_a_catalogue_adds_its_language(tmp_path: Path) -> None:
    for locale, suffix in (("pt_BR", "mo"), ("de", "po")):
        folder = tmp_path / locale / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / f"django.{suffix}").touch()
    assert [code for code, _name in available_languages(tmp_path)] == ["en", "pt-br"]
