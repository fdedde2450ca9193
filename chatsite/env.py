"""Reads settings from the environment, `.env` and `locale/`; a wrong value names its variable, never its content."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import to_locale

T = TypeVar("T")


def load_dotenv(path: Path) -> None:
    """`NAME=value` lines; the real environment wins. Quotes around a value are dropped."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.strip().partition("=")
        name = name.removeprefix("export ").strip()
        if separator and name and not name.startswith("#"):
            os.environ.setdefault(name, value.strip().strip("\"'"))


def _parse(name: str, default: T, convert: Callable[[str], T], expected: str) -> T:
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        return convert(raw)
    except (ValueError, KeyError, OSError):
        raise ImproperlyConfigured(f"{name} must be {expected}.") from None


def text(name: str, default: str = "") -> str:
    return _parse(name, default, str, "text")


def flag(name: str, default: bool) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    return _parse(name, default, lambda raw: words[raw.lower()], "0 or 1")


def number(name: str, default: int, minimum: int = 0, maximum: int = 10**9) -> int:
    def convert(raw: str) -> int:
        value = int(raw)
        if not minimum <= value <= maximum:
            raise ValueError
        return value

    return _parse(name, default, convert, f"a whole number from {minimum} to {maximum}")


def seconds(name: str, default: float) -> float:
    def convert(raw: str) -> float:
        value = float(raw)
        if not 0 < value <= 86_400:
            raise ValueError
        return value

    return _parse(name, default, convert, "a number of seconds above 0 and up to 86400")


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    return _parse(name, list(default), lambda raw: [word for word in raw.replace(",", " ").split() if word], "a list")


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    def convert(raw: str) -> str:
        if raw.lower() not in allowed:
            raise ValueError
        return raw.lower()

    return _parse(name, default, convert, "one of " + ", ".join(allowed))


def time_zone(name: str, default: str) -> str:
    return _parse(name, default, lambda raw: ZoneInfo(raw).key, "a time zone such as Europe/Berlin")


def origins(name: str) -> list[str]:
    def convert(raw: str) -> list[str]:
        values = raw.replace(",", " ").split()
        for value in values:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                raise ValueError
        return [value.rstrip("/") for value in values]

    return _parse(name, [], convert, "origins such as https://chat.example.org")


def http_url(name: str) -> str:
    def convert(raw: str) -> str:
        parts = urlsplit(raw)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ValueError
        _ = parts.port
        return raw.rstrip("/")

    return _parse(name, "", convert, "an http or https address without a password in it")


def redis_servers(name: str) -> tuple[str, list[tuple[str, int]]]:
    """The address, and the sentinels that know which server is meant by its host, if it is behind any.

    redis+sentinel://user:password@host:26379,host:26379/name/0 becomes redis://user:password@name/0 and two sentinels.
    """

    def convert(raw: str) -> tuple[str, list[tuple[str, int]]]:
        parts = urlsplit(raw)
        if parts.scheme == "redis+sentinel":
            login, at, hosts = parts.netloc.rpartition("@")
            sentinels = [urlsplit(f"//{host}") for host in hosts.split(",")]
            master, _, database = parts.path.strip("/").partition("/")
            # As a host, the name reaches the sentinels in lower case.
            if not master or master != master.lower() or not all(each.hostname for each in sentinels):
                raise ValueError
            address = f"redis://{login}{at}{master}/{int(database or 0)}"
            return address, [(str(each.hostname), each.port or 26379) for each in sentinels]
        if parts.scheme not in ("redis", "rediss", "unix") or not (parts.netloc or parts.path):
            raise ValueError
        _ = parts.port
        return raw, []

    nothing: tuple[str, list[tuple[str, int]]] = ("", [])
    return _parse(
        name,
        nothing,
        convert,
        "a redis://, rediss://, unix:// or redis+sentinel://host/name address, the name in lower case",
    )


def behind_sentinels(address: str, sentinels: list[tuple[str, int]]) -> dict[str, Any]:
    """What channels_redis wants to know."""
    parts = urlsplit(address)
    return {
        "sentinels": sentinels,
        "sentinel_kwargs": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
        "master_name": parts.hostname,
        "db": int(parts.path.strip("/")),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }


def disconnect_policy(name: str) -> float | None:
    """Seconds to go on after the last viewer left; None is for ever."""

    def convert(raw: str) -> float | None:
        word, _, grace = raw.lower().partition(":")
        if word == "continue" and not grace:
            return None
        if word == "cancel" and not grace:
            return 0.0
        value = float(grace)
        if word != "grace" or not 0 <= value <= 86_400:
            raise ValueError
        return value

    default: float | None = None
    return _parse(name, default, convert, "continue, cancel or grace:SECONDS")


def database(name: str, folder: Path) -> dict[str, object]:
    def convert(raw: str) -> dict[str, object]:
        parts = urlsplit(raw)
        if parts.scheme == "sqlite":
            path = unquote(parts.path)
            return sqlite(Path(path[1:]) if path.startswith("//") else folder / path.lstrip("/"))
        if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
            raise ValueError
        options = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or "") or options.pop("host", ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 300,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"connect_timeout": 5, **{key: unquote(value) for key, value in options.items()}},
        }

    return _parse(name, sqlite(folder / "chatsite.sqlite3"), convert, "a sqlite:/// or postgres:// address")


def mailer(name: str) -> tuple[dict[str, Any], str]:
    """Django's mailer, and who mail is from: smtp[s]://user:password@host:port?from=chat@example.org."""

    def convert(raw: str) -> tuple[dict[str, Any], str]:
        parts = urlsplit(raw)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError
        options = {
            "host": parts.hostname,
            "port": parts.port or (465 if parts.scheme == "smtps" else 587),
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "use_ssl": parts.scheme == "smtps",
            "use_tls": parts.scheme == "smtp" and bool(parts.username),
            "timeout": 10,
        }
        sender = dict(parse_qsl(parts.query)).get("from", f"chatsite@{parts.hostname}")
        return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}, sender

    nothing: tuple[dict[str, Any], str] = ({}, "chatsite@localhost")
    return _parse(name, nothing, convert, "an smtp:// or smtps:// address")


def sqlite(path: Path) -> dict[str, object]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,  # while one is open, a full disk cannot keep others from reading
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL",
        },
        "TEST": {"NAME": str(path.with_name(f"test-{path.name}"))},
    }


def languages(folder: Path) -> list[tuple[str, str]]:
    """English, in which the site is written, and those that `folder` has a compiled catalogue for."""
    return [
        (code, name)
        for code, name in global_settings.LANGUAGES
        if code == "en" or (folder / to_locale(code) / "LC_MESSAGES" / "django.mo").is_file()
    ]
