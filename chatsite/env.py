"""Settings from the environment and from `.env`, read with environs.

What is special here: an empty value counts as unset; a wrong value stops the start with one line that names the
variable and says what is expected, and never shows the value, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

import environs
from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv
from environs import validate

T = TypeVar("T")

MAX_SECONDS = 86_400
FLAGS = {**dict.fromkeys(("1", "true", "yes", "on"), True), **dict.fromkeys(("0", "false", "no", "off"), False)}


class Environment:
    """Typed reads of environment variables.

    Every method takes the variable's name, returns its value or a default, and raises `ImproperlyConfigured`.
    """

    def __init__(self, dotenv: Path) -> None:
        # Into os.environ, where libraries look too; what is set there wins. Values may hold `${`: no interpolation.
        load_dotenv(dotenv, interpolate=False)
        self._env = environs.Env()

    def _read(self, name: str, default: T, parse: Callable[[], T], expected: str) -> T:
        if not self._env.str(name, "").strip():
            return default
        try:
            return parse()
        except (environs.EnvError, ValueError, KeyError, OSError):
            raise ImproperlyConfigured(f"{name} must be {expected}.") from None

    def _convert(self, name: str, default: T, convert: Callable[[str], T], expected: str) -> T:
        return self._read(name, default, lambda: convert(self._env.str(name).strip()), expected)

    def text(self, name: str, default: str = "") -> str:
        return self._convert(name, default, str, "text")

    def flag(self, name: str, default: bool) -> bool:
        """1, true, yes, on; 0, false, no, off. Not by environs' `bool`, which refuses spaces around the value."""
        return self._convert(name, default, lambda raw: FLAGS[raw.lower()], "0 or 1")

    def number(self, name: str, default: int, minimum: int = 0, maximum: int = 10**9) -> int:
        limits = validate.Range(minimum, maximum)
        expected = f"a whole number from {minimum} to {maximum}"
        return self._read(name, default, lambda: self._env.int(name, validate=limits), expected)

    def seconds(self, name: str, default: float) -> float:
        limits = validate.Range(0, MAX_SECONDS, min_inclusive=False)
        expected = f"a number of seconds above 0 and up to {MAX_SECONDS}"
        return self._read(name, default, lambda: self._env.float(name, validate=limits), expected)

    def words(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        """Separated by spaces or commas."""
        return self._convert(name, list(default), _words, "a list")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """In lower case."""

        def convert(raw: str) -> str:
            value = raw.lower()
            if value not in allowed:
                raise ValueError
            return value

        return self._convert(name, default, convert, "one of " + ", ".join(allowed))

    def time_zone(self, name: str, default: str) -> str:
        return self._convert(name, default, lambda raw: ZoneInfo(raw).key, "a time zone such as Europe/Berlin")

    def origins(self, name: str) -> list[str]:
        """Scheme, host and port, without a slash at the end."""

        def convert(raw: str) -> list[str]:
            values = _words(raw)
            for value in values:
                parts = urlsplit(value)
                if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
                    raise ValueError
            return [value.rstrip("/") for value in values]

        return self._convert(name, [], convert, "origins such as https://chat.example.org")

    def http_url(self, name: str) -> str:
        def convert(raw: str) -> str:
            parts = urlsplit(raw)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
                raise ValueError
            _ = parts.port
            return raw.rstrip("/")

        return self._convert(name, "", convert, "an http or https address without a password in it")

    def redis_servers(self, name: str) -> tuple[str, list[tuple[str, int]]]:
        """The address, and the sentinels that know which server the host in it stands for; none without sentinels.

        redis+sentinel://user:password@host:26379,host:26379/name/0 becomes redis://user:password@name/0 and two
        sentinels.
        """

        def convert(raw: str) -> tuple[str, list[tuple[str, int]]]:
            parts = urlsplit(raw)
            if parts.scheme == "redis+sentinel":
                login, at, hosts = parts.netloc.rpartition("@")
                sentinels = [urlsplit(f"//{host}") for host in hosts.split(",")]
                master, _, database = parts.path.strip("/").partition("/")
                # Host names are lower-cased before the sentinels see them.
                if not master or master != master.lower() or not all(each.hostname for each in sentinels):
                    raise ValueError
                address = f"redis://{login}{at}{master}/{int(database or 0)}"
                return address, [(str(each.hostname), each.port or 26379) for each in sentinels]
            if parts.scheme not in ("redis", "rediss", "unix") or not (parts.netloc or parts.path):
                raise ValueError
            _ = parts.port
            return raw, []

        unset: tuple[str, list[tuple[str, int]]] = ("", [])
        expected = "a redis://, rediss://, unix:// or redis+sentinel://host/name address, the name in lower case"
        return self._convert(name, unset, convert, expected)

    def disconnect_policy(self, name: str) -> float | None:
        """Seconds that an answer keeps running after its last reader has left; None: it always does."""

        def convert(raw: str) -> float | None:
            word, _, grace = raw.lower().partition(":")
            if word == "continue" and not grace:
                return None
            if word == "cancel" and not grace:
                return 0.0
            value = float(grace)
            if word != "grace" or not 0 <= value <= MAX_SECONDS:
                raise ValueError
            return value

        unset: float | None = None
        return self._convert(name, unset, convert, "continue, cancel or grace:SECONDS")

    def database(self, name: str, folder: Path) -> dict[str, Any]:
        """Django's settings of the database; SQLite in `folder` by default. A relative SQLite path is in `folder`."""

        def parse() -> dict[str, Any] | None:
            parsed: dict[str, Any] = dict(self._env.dj_db_url(name, conn_max_age=300, conn_health_checks=True))
            if parsed["ENGINE"] == "django.db.backends.sqlite3":
                return sqlite(folder / _file_name(parsed["NAME"]))
            if parsed["ENGINE"] != "django.db.backends.postgresql" or not parsed["NAME"]:
                raise ValueError
            options = {"connect_timeout": 5, **parsed.get("OPTIONS", {})}
            if not parsed["HOST"]:
                parsed["HOST"] = options.pop("host", "")
            return {**parsed, "PORT": str(parsed["PORT"]), "OPTIONS": options}

        given = self._read(name, None, parse, "a sqlite:/// or postgres:// address")
        return given or sqlite(folder / "chatsite.sqlite3")

    def mailer(self, name: str) -> tuple[dict[str, Any], str]:
        """Django's mailer, and the sender of mail: smtp[s]://user:password@host:port?from=chat@example.org.

        Not by environs' `dj_email_url`: there smtps:// stands for STARTTLS, here for TLS from the start.
        """

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

        unset: tuple[dict[str, Any], str] = ({}, "chatsite@localhost")
        return self._convert(name, unset, convert, "an smtp:// or smtps:// address")


def sqlite(path: Path) -> dict[str, Any]:
    """Django's settings of an SQLite database; creates its folder, readable for its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,  # while one connection is open, the others can read even if the disk is full
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL",
        },
        "TEST": {"NAME": str(path.with_name(f"test-{path.name}"))},
    }


def channel_layer_host(address: str, sentinels: list[tuple[str, int]]) -> dict[str, Any]:
    """The host entry of channels_redis for `Environment.redis_servers`' values."""
    timeouts = {"socket_timeout": 1, "socket_connect_timeout": 0.5}
    if not sentinels:
        return {**timeouts, "address": address}
    parts = urlsplit(address)
    return {
        **timeouts,
        "sentinels": sentinels,
        "sentinel_kwargs": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
        "master_name": parts.hostname,
        "db": int(parts.path.strip("/")),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }


def _words(raw: str) -> list[str]:
    return raw.replace(",", " ").split()


def _file_name(name: str) -> str:
    if not name or name == ":memory:":  # each thread would have a database of its own
        raise ValueError
    return name
