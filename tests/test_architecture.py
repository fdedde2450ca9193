"""Dependencies between packages point one way, as `docs/architecture.md` draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEVELS: dict[str, int] = {
    "errors": 0,
    "events": 0,
    "text": 0,
    "infra": 0,
    "models": 1,
    "providers": 2,
    "eventlog": 2,
    "markdown": 2,
    "files": 2,
    "limits": 3,
    "usage": 4,
    "search": 4,
    "accounts": 4,
    "answers": 5,
    "streaming": 6,
    "web": 7,
    "api": 7,
    "admin": 7,
    "management": 7,
    "templatetags": 8,
    "migrations": 7,
    "urls": 8,
    "apps": 9,
    "checks": 8,
}
FORBIDDEN = {
    "streaming.encoders": ("chat.models", "django.http", "django.shortcuts", "time", "asyncio"),
    "markdown": ("chat.models", "django.http", "django.shortcuts"),
    **{
        f"limits.{module}": ("django", "time", "chat.models")
        for module in ("counters", "reservations", "periods", "refusal_log", "rules", "values")
    },
    "errors": ("chat",),
}
ONLY = {
    "openai": {"providers"},
    "httpx2": {"providers"},
    "aiohttp": {"providers"},
    "channels": {"infra", "web"},
    "redis": {"limits", "eventlog", "checks"},
}
MOST_MODULES = 8


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


def package_of(module: str) -> str:
    return module.split(".")[0]


def is_inside(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def test_at_most_eight_modules_lie_directly_in_the_app() -> None:
    assert len(list((ROOT / "chat").glob("*.py"))) <= MOST_MODULES


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_package_imports_only_from_packages_below_it(module: str) -> None:
    own = package_of(module)
    for name in imports_of(modules()[module]):
        if not name.startswith("chat."):
            continue
        other = package_of(name.removeprefix("chat."))
        if other != own:
            assert LEVELS[other] < LEVELS[own] or LEVELS[other] == LEVELS[own] == 0, f"chat.{module} imports {name}"


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_package_does_not_use_what_is_kept_from_it(module: str) -> None:
    names = imports_of(modules()[module])
    for inside, forbidden in FORBIDDEN.items():
        if is_inside(module, inside):
            for name in names:
                assert not any(is_inside(name, bad) for bad in forbidden), (module, name)
    for library, packages in ONLY.items():
        if any(is_inside(name, library) for name in names):
            assert package_of(module) in packages, f"chat.{module} imports {library}"
