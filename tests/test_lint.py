"""Rules of this project that no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parent.parent
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)
SOURCES = sorted(path for folder in ("chat", "chatsite") for path in (ROOT / folder).rglob("*.py"))
WAITS = ("sleep", "wait_for_timeout")
PATCHES = ("setattr", "delattr", "patch")
DOCUMENTS = [ROOT / "README.md", ROOT / "Makefile", *sorted((ROOT / "docs").glob("*.md"))]
NAMED_FILE = re.compile(r"(?<![\w/.-])((?:chat|chatsite|tests|templates|static|docs|deploy|benchmarks)/[\w./-]*\w/?)")
MADE_LATER = ("staticfiles", "tests/js/node_modules")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def is_wait(node: ast.AST) -> bool:
    """A call that waits for time to pass. `sleep(0)` lets other tasks run, which is no waiting."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAITS):
        return False
    return not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=name_of)
def test_no_test_sleeps_to_wait(path: Path) -> None:
    assert [
        f"{test.name}:{node.lineno}" for test in functions_of(path) for node in ast.walk(test) if is_wait(node)
    ] == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_helpers_are_not_imported_from_other_tests(path: Path) -> None:
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    assert [name for name in modules if re.match(r"tests\.(\w+\.)?test_", name)] == []


def patched_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PATCHES:
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value.rpartition(".")[2]


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_no_test_patches_a_private_name(path: Path) -> None:
    assert [name for name in patched_names(path) if name.startswith("_")] == []


def dotted_settings() -> Iterator[str]:
    """Every dotted path of ours in the settings. A model's label ("chat.User") is not one."""

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            if re.fullmatch(r"(chat|chatsite)(\.\w+)+", value):
                yield value
        elif isinstance(value, dict):
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                yield from walk(item)

    for name in dir(settings):
        if name.isupper() and not name.endswith("_MODEL"):
            yield from walk(getattr(settings, name))


@pytest.mark.parametrize("path", sorted(set(dotted_settings())))
def test_a_dotted_path_in_the_settings_can_be_imported(path: str) -> None:
    try:
        import_module(path)
    except ModuleNotFoundError:
        import_string(path)


def test_the_linter_s_exceptions_name_files_that_exist() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = config["tool"]["ruff"]["lint"]["per-file-ignores"]
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_a_document_names_exist(document: Path) -> None:
    named = set(NAMED_FILE.findall(document.read_text()))
    assert {name for name in named if not (ROOT / name).exists() and not name.startswith(MADE_LATER)} == set()


def exists(dotted: str) -> bool:
    """Whether this path is a package, a module, or a name in one of them."""
    parts = dotted.split(".")
    path = ROOT.joinpath(*parts)
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    for length in range(1, len(parts)):
        place = ROOT.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.exists() and re.search(rf"\b{parts[length]}\b", file.read_text()):
                return True
    return False


def test_modules_that_a_docstring_names_exist() -> None:
    named = {
        (name_of(path), name)
        for path in SOURCES
        for name in re.findall(r"`(chat(?:site)?(?!\.completions)(?:\.\w+)+)`", path.read_text())
    }
    assert {each for each in named if not exists(each[1])} == set()
