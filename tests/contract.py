"""What users, clients and operators rely on, found by discovery and compared with `tests/data/contract.json`.

Nothing here names a module of the project: models come from the app registry, addresses from the
resolver, commands from Django's loader, and the rest from a site that runs. A test compares each
section of the file with what is found now; what is new is allowed, what is gone or other is not.

`python -m tests.record_contract` writes the file anew. Do that only for a change that is meant, and say so
in the changelog.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.urls import URLPattern, URLResolver, get_resolver

from tests.site import ROOT, SECRET

FILE = Path(__file__).parent / "data" / "contract.json"
APP = "chat"


def recorded(section: str) -> Any:
    """One section of the file."""
    return json.loads(FILE.read_text(encoding="utf-8"))[section]


def lost(kept: Any, found: Any, path: str = "") -> list[str]:
    """What `kept` holds and `found` does not, one line each; additions are no loss.

    Mappings are compared key by key, lists as sets, everything else by equality.
    """
    if isinstance(kept, Mapping) and isinstance(found, Mapping):
        return [
            line
            for name, value in kept.items()
            for line in (lost(value, found[name], f"{path}/{name}") if name in found else [f"{path}/{name} is gone"])
        ]
    if isinstance(kept, list) and isinstance(found, list):
        return [f"{path}: {value!r} is gone" for value in kept if value not in found]
    return [] if kept == found else [f"{path}: {kept!r} became {found!r}"]


# Models and migrations


def models() -> dict[str, Any]:
    """Table, fields, constraints and indexes of each model by its label, also of those between two others."""
    found: dict[str, Any] = {}
    for model in apps.get_app_config(APP).get_models(include_auto_created=True):
        options = model._meta
        found[options.label] = {
            "table": options.db_table,
            "fields": {field.name: _field(field) for field in options.local_fields},
            "many_to_many": {field.name: field.remote_field.through._meta.db_table for field in options.many_to_many},
            "constraints": [each.name for each in options.constraints],
            "indexes": [each.name for each in options.indexes],
        }
    return found


def _field(field: Any) -> str:
    """Column, type and what else the database knows of it, in one line."""
    words = [field.column, field.get_internal_type()]
    words += [f"max_length={field.max_length}"] if field.max_length else []
    words += [name for name in ("null", "unique") if getattr(field, name)]
    words += [f"to={field.related_model._meta.label}"] if field.is_relation else []
    words += [f"choices={','.join(value for value, _label in field.choices)}"] if field.choices else []
    return " ".join(words)


def permissions() -> list[str]:
    """`model.codename` of every permission that migrations make."""
    found = []
    for model in apps.get_app_config(APP).get_models():
        options = model._meta
        names = [f"{verb}_{options.model_name}" for verb in options.default_permissions]
        found += [f"{options.model_name}.{name}" for name in (*names, *(name for name, _text in options.permissions))]
    return sorted(found)


def migrations() -> dict[str, str]:
    """SHA-256 of each migration by its file's name."""
    folder = Path(apps.get_app_config(APP).path) / "migrations"
    return {path.name: _sha256(path.read_bytes()) for path in sorted(folder.glob("[0-9]*.py"))}


def scripts() -> dict[str, str]:
    """SHA-256 of the limiter's Lua scripts without comments, indentation and empty lines."""
    found = {}
    for path in sorted(Path(apps.get_app_config(APP).path).rglob("*.lua")):
        lines = (line.partition("--")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
        found[path.name] = _sha256("\n".join(line for line in lines if line).encode())
    return found


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Addresses


def urls() -> dict[str, list[str]]:
    """Routes by name; of the admin's those that are named for this app."""
    found: dict[str, set[str]] = {}
    for name, route in _routes(get_resolver(), "", ""):
        if not name.startswith("admin:") or name.startswith(f"admin:{APP}_"):
            found.setdefault(name, set()).add(route)
    return {name: sorted(routes) for name, routes in sorted(found.items())}


def _routes(resolver: URLResolver, prefix: str, namespace: str) -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route, f"{pattern.namespace}:" if pattern.namespace else namespace)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield namespace + pattern.name, route


# Settings

# Every variable of the environment with a value that is not its default.
GIVEN = {
    "SECRET_KEY": SECRET,
    "SECRET_KEY_FALLBACKS": "old-key-one old-key-two",
    "DEBUG": "1",
    "HTTPS_ONLY": "0",
    "ALLOWED_HOSTS": "localhost,testserver",
    "CSRF_TRUSTED_ORIGINS": "https://chat.example.org",
    "API_CORS_ORIGINS": "https://app.example.org, http://localhost:3000/",
    "TRUSTED_PROXIES": "2",
    "TIME_ZONE": "Europe/Berlin",
    "DATABASE_URL": "postgres://me:pass%20word@db.example.org:6543/chat",
    "REDIS_URL": "redis://cache.example.org:6380/3",
    "SIGNUP": "1",
    "EMAIL_URL": "smtp://mailer:secret@mail.example.org:587?from=chat@example.org",
    "METRICS_TOKEN": "scrape",
    "LOG_LEVEL": "warning",
    "OPENAI_API_KEY": "sk-given",
    "OPENAI_BASE_URL": "http://127.0.0.1:11434/v1/",
    "CHAT_MODEL": "llama3",
    "CHAT_MAX_PROMPT_CHARS": "1000",
    "CHAT_MAX_MESSAGES": "10",
    "CHAT_MAX_OUTPUT_TOKENS": "512",
    "CHAT_ON_DISCONNECT": "grace:30",
    "CHAT_FIRST_TOKEN_TIMEOUT": "11",
    "CHAT_STALL_TIMEOUT": "12.5",
    "CHAT_ANSWER_TIMEOUT": "13",
    "LIMITER_WHEN_DOWN": "closed",
}
SENTINELS = {"REDIS_URL": "redis+sentinel://me:word@one.example.org:26379,two.example.org:26380/main/2"}

# Values that are paths, dotted paths or made by Django: their names are kept, not what they say.
_NOT_COMPARED = {
    "BASE_DIR", "SECRET_KEY", "INSTALLED_APPS", "MIDDLEWARE", "ROOT_URLCONF", "TEMPLATES", "LOGGING", "STORAGES",
    "SESSION_ENGINE", "CSRF_FAILURE_VIEW", "FILE_UPLOAD_HANDLERS", "AUTH_PASSWORD_VALIDATORS", "LOCALE_PATHS",
    "STATIC_ROOT", "STATICFILES_DIRS", "DATABASES", "CACHES", "CHANNEL_LAYERS", "WHITENOISE_USE_FINDERS",
}  # fmt: skip

_PRINT_SETTINGS = """
import json
from chatsite import settings
values = {name: getattr(settings, name) for name in dir(settings) if name.isupper() and name[0] != "_"}
print(json.dumps(values, default=str))
"""


def settings_for(given: Mapping[str, str]) -> dict[str, Any]:
    """What `chatsite.settings` says with these variables and all others empty; values are JSON."""
    env = dict.fromkeys(GIVEN, "") | {"PATH": os.environ["PATH"], "SECRET_KEY": SECRET, **given}
    command = [sys.executable, "-W", "ignore", "-c", _PRINT_SETTINGS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    values: dict[str, Any] = json.loads(done.stdout)
    database = {name: values["DATABASES"]["default"].get(name) for name in ("ENGINE", "HOST", "PORT", "USER")}
    caches = {alias: _cache(cache) for alias, cache in values["CACHES"].items()}
    compared = {name: value for name, value in values.items() if name not in _NOT_COMPARED and not _is_djangos(name)}
    compared |= {"DATABASE": database, "CACHES": caches, "CHANNELS": _channels(values["CHANNEL_LAYERS"]["default"])}
    return {name: json.dumps(value) for name, value in sorted(compared.items())} | {
        "names": sorted(name for name in values if not _is_djangos(name))
    }


def _is_djangos(name: str) -> bool:
    """Whether the name depends on Django's version."""
    return bool(re.fullmatch(r"MAILERS|EMAIL_\w+", name))


def _cache(cache: dict[str, Any]) -> dict[str, Any]:
    return {name: cache[name] for name in ("BACKEND", "LOCATION", "KEY_PREFIX") if name in cache}


def _channels(layer: dict[str, Any]) -> dict[str, Any]:
    return {"BACKEND": layer["BACKEND"], "prefix": layer.get("CONFIG", {}).get("prefix")}


def settings() -> dict[str, Any]:
    """Names and values without anything in the environment; with all variables and with sentinels what differs."""
    found = {"defaults": settings_for({})}
    for name, given in {"given": GIVEN, "sentinels": SENTINELS}.items():
        values = settings_for(given)
        found[name] = {each: value for each, value in values.items() if found["defaults"].get(each) != value}
    return found


# Commands


def commands() -> dict[str, Any]:
    """Arguments and options of each command of this app, of its verbs too."""
    own = sorted(name for name, app in get_commands().items() if app in (APP, f"{APP}.management"))
    return {name: _arguments(load_command_class(APP, name).create_parser("manage.py", name)) for name in own}


def _arguments(parser: argparse.ArgumentParser) -> dict[str, Any]:
    common = {each.dest for each in BaseCommand().create_parser("manage.py", "any")._actions}
    found: dict[str, Any] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found[action.dest] = {verb: _arguments(each) for verb, each in action.choices.items()}
        elif action.dest not in common:
            found[action.dest] = _argument(action)
    return found


def _argument(action: argparse.Action) -> str:
    """Options, number of values, choices and default in one line; the wording of a default is free."""
    words = [*action.option_strings, *(["required"] if action.required else [])]
    words += [f"nargs={action.nargs}"] if action.nargs is not None else []
    words += [f"choices={','.join(action.choices)}"] if action.choices else []
    has_default = action.default not in (None, "", False) and " " not in str(action.default)
    return " ".join([*words, f"default={action.default}"] if has_default else words)


# Errors


def error_codes() -> dict[str, int]:
    """The HTTP status of each error code, from every exception of this app that has both."""
    found = {}
    for kind in _subclasses(Exception):
        if kind.__module__.split(".")[0] == APP and "code" in vars(kind) and isinstance(kind.__dict__["code"], str):
            found[kind.__dict__["code"]] = kind.status  # type: ignore[attr-defined]
    return dict(sorted(found.items()))


def _subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for child in type.__subclasses__(kind):
        yield child
        yield from _subclasses(child)


# Pages

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Articles(HTMLParser):
    """Attributes of each `article`, and of everything in it that has an id or a `data-*` attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "article":
            own = {name: UUID.sub("*", value or "") for name, value in values.items() if _is_kept(name)}
            self.found.append({"own": own, "ids": set(), "data": set()})
            self._inside = True
        elif self._inside:
            if values.get("id"):
                self.found[-1]["ids"].add(UUID.sub("*", values["id"] or ""))
            self.found[-1]["data"].update(name for name in values if name.startswith("data-"))
            if values.get("data-code"):
                self.found[-1]["own"]["inner data-code"] = values["data-code"]

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "article"


def _is_kept(name: str) -> bool:
    return name == "id" or name.startswith("data-")


def articles(html: str) -> list[dict[str, Any]]:
    """`own` attributes, `ids` and names of `data` attributes of each article of a page; `*` stands for a UUID."""
    parser = _Articles()
    parser.feed(html)
    return [{"own": each["own"], "ids": sorted(each["ids"]), "data": sorted(each["data"])} for each in parser.found]


def ids_of_articles(html: str) -> list[str]:
    """`role id` of each article of a page or fragment, in order."""
    return [f"{role} {name}" for name, role in re.findall(r'<article id="m-([0-9a-f-]{36})" data-role="(\w+)"', html)]


# Output


def header_of(text: str) -> str:
    """The first line of a CSV document: its columns, in order."""
    return ",".join(next(csv.reader(io.StringIO(text))))


def keys_of(value: Any, path: str = "") -> list[str]:
    """The keys of a JSON value as paths, through lists by their first item."""
    if isinstance(value, dict):
        return [each for name in value for each in (f"{path}{name}", *keys_of(value[name], f"{path}{name}."))]
    return keys_of(value[0], path) if isinstance(value, list) and value else []


def log_lines(log: str) -> list[dict[str, Any]]:
    """The JSON objects among the lines of a server's log."""
    found = []
    for line in log.splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
    return found


def metrics(exposition: str) -> dict[str, Any]:
    """Type, labels and buckets of this site's metrics, from what Prometheus reads."""
    found: dict[str, Any] = {}
    for line in exposition.splitlines():
        if match := re.fullmatch(r"# TYPE (\S+) (\w+)", line):
            found[match[1]] = {"type": match[2], "labels": set(), "buckets": []}
        elif match := re.fullmatch(r"(\w+?)(?:\{(.*)\})? \S+", line):
            name = next((each for each in _names(match[1]) if each in found), None)
            if name is None:
                continue
            labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            if "le" in labels and labels["le"] not in found[name]["buckets"]:
                found[name]["buckets"].append(labels["le"])
            found[name]["labels"].update(labels.keys() - {"le"})
    return {
        name: {"type": each["type"], "labels": " ".join(sorted(each["labels"])), "buckets": " ".join(each["buckets"])}
        for name, each in sorted(found.items())
        if not name.endswith("_created")
    }


def _names(sample: str) -> Iterable[str]:
    yield sample
    for ending in ("_bucket", "_sum", "_count"):
        if sample.endswith(ending):
            yield sample.removesuffix(ending)
