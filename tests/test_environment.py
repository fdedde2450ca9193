"""A wrong setting stops the start with one line that names the variable and never shows its value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from chatsite.env import languages
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
    assert [code for code, _name in languages(tmp_path)] == ["en", "pt-br"]
