"""Of openai, httpx2 and aiohttp only the public API is used."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("openai", "httpx2", "aiohttp")
MODULES = sorted((ROOT / "chat" / "providers").rglob("*.py"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_private_name_of_a_library_is_imported(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        for name in names:
            assert not (name.startswith(LIBRARIES) and any(map(is_private, name.split(".")))), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_private_attributes_are_read_from_self_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            assert isinstance(node.value, ast.Name), ast.unparse(node)
            assert node.value.id == "self", ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_private_method_of_a_library_is_overridden(path: Path) -> None:
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            inherited = {
                name for base in kind.__mro__[1:] if base.__module__.startswith(LIBRARIES) for name in vars(base)
            }
            assert not [name for name in vars(kind) if is_private(name) and name in inherited], kind
