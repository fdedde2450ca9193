"""Imports between the rooms of the house go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEVELS: dict[str, int] = {
    "errors": 0,
    "text": 0,
    "events": 0,
    "compiled": 0,
    "threads": 0,
    "metrics": 0,
    "pace": 0,
    "timers": 0,
    "tasks": 0,
    "models": 1,
    "upstream": 1,
    "demo": 1,
    "eventlog": 1,
    "markdown": 1,
    "notices": 1,
    "limits.breaker": 1,
    "limits.counters": 1,
    "limits.leases": 1,
    "limits.periods": 1,
    "limits.readings": 1,
    "limits.refusals": 1,
    "limits.rules": 1,
    "limits.values": 1,
    "limits.stores": 1,
    "prompt": 2,
    "sessions": 2,
    "limits": 2,
    "reports": 2,
    "books": 2,
    "prices": 2,
    "personal": 2,
    "retention": 2,
    "search": 2,
    "searchindex": 2,
    "apikeys": 2,
    "rows": 0,
    "run": 3,
    "generation": 3,
    "wire": 3,
    "dialects": 4,
    "clientchats": 4,
    "recovery": 4,
    "runner": 4,
    "asks": 5,
    "wishes": 5,
    "exchange": 5,
    "viewers": 5,
}
TOP = 6
FORBIDDEN = {
    "wire": ("chat.models", "django.http", "django.shortcuts"),
    "markdown": ("chat.models", "django.http", "django.shortcuts"),
    **{
        f"limits.{room}": ("django", "time", "chat.models")
        for room in ("counters", "leases", "periods", "readings", "refusals", "rules", "values")
    },
    "errors": ("chat",),
}
ONLY = {"openai": {"upstream", "demo"}, "httpx2": {"upstream", "demo"}, "channels": {"notices", "consumers"}}


def modules() -> dict[str, Path]:
    found = {}
    for path in (ROOT / "chat").rglob("*.py"):
        if "migrations" in path.parts:
            continue
        name = ".".join(path.relative_to(ROOT / "chat").with_suffix("").parts).removesuffix(".__init__")
        found["" if name == "__init__" else name] = path
    return found


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def level_of(module: str) -> int:
    parts = module.split(".")
    for length in (2, 1):
        if (level := LEVELS.get(".".join(parts[:length]))) is not None:
            return level
    return TOP


def room_of(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_room_imports_only_from_rooms_below_it(module: str) -> None:
    own = level_of(module)
    for name in imports_of(modules()[module]):
        if not name.startswith("chat.") or module == "apps":
            continue
        other = name.removeprefix("chat.")
        if room_of(other) != room_of(module):
            assert level_of(other) <= own, f"chat.{module} imports {name}"


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_room_keeps_away_from_what_is_not_its_business(module: str) -> None:
    names = imports_of(modules()[module])
    for room, forbidden in FORBIDDEN.items():
        if module == room or module.startswith(f"{room}."):
            for name in names:
                assert not any(name == bad or name.startswith(f"{bad}.") for bad in forbidden), (module, name)
    for package, rooms in ONLY.items():
        if any(name.split(".")[0] == package for name in names):
            assert room_of(module) in rooms, f"chat.{module} imports {package}"
