"""Highlight code with Pygments, using only the classes that the style sheet has colours for."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from typing import Final

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, _TokenType

MAX_HIGHLIGHTED_CHARS: Final = 32_000
MAX_CPU_SECONDS: Final = 0.5

# Names that users and models write after the opening fence. Other languages are shown without colours.
_NAMES = """
    asm awk bash bat batch c c# c++ clojure cmake console cpp cs csharp css csv cuda dart diff django docker
    dockerfile elixir elm erlang f# fish fortran fsharp gherkin glsl go golang graphql groovy haskell hcl html
    http ini java javascript jinja js json json5 jsx julia kotlin latex less lisp lua make makefile markdown
    matlab md nginx nix objective-c objectivec ocaml pascal perl php plaintext postgresql powershell prolog
    properties proto protobuf ps1 py python python3 r rb rs ruby rust sass scala scheme scss sh shell
    shell-session solidity sql swift tcl terraform tex text toml ts tsx txt typescript verilog vhdl vim
    vue xml yaml yml zig zsh
"""
LANGUAGES: Final = frozenset(_NAMES.split())
_WITHOUT_LEXER: Final = frozenset({"plaintext", "text", "txt", "csv"})
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")

_CLASS_OF: Final[dict[_TokenType, str]] = {
    Comment: "c",
    Comment.Preproc: "cp",
    Generic.Deleted: "gd",
    Generic.Heading: "gh",
    Generic.Inserted: "gi",
    Generic.Prompt: "gp",
    Generic.Subheading: "gu",
    Keyword: "k",
    Keyword.Constant: "kc",
    Keyword.Type: "kt",
    Name.Attribute: "na",
    Name.Builtin: "nb",
    Name.Class: "nc",
    Name.Constant: "no",
    Name.Decorator: "nd",
    Name.Exception: "ne",
    Name.Function: "nf",
    Name.Namespace: "nn",
    Name.Tag: "nt",
    Name.Variable: "nv",
    Number: "m",
    Operator.Word: "ow",
    String: "s",
    String.Escape: "se",
    String.Interpol: "si",
    String.Regex: "sr",
}
CLASSES: Final = frozenset(_CLASS_OF.values())


def language_of(info: str) -> str:
    """The language in the info string of a fence, or an empty string if it is not a simple name."""
    word = info.split(maxsplit=1)[0].rstrip(",") if info.strip() else ""
    return word if _LANGUAGE.fullmatch(word) else ""


@lru_cache(maxsize=256)
def _class_of(token: _TokenType) -> str:
    while token is not None:
        if token in _CLASS_OF:
            return _CLASS_OF[token]
        token = token.parent
    return ""


@lru_cache(maxsize=len(LANGUAGES))
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


def _colour_runs(lexer: Lexer, source: str) -> Iterator[tuple[str, str]]:
    """Class and text of runs of tokens with the same colour. Raises `TimeoutError` after `MAX_CPU_SECONDS`."""
    deadline = time.thread_time() + MAX_CPU_SECONDS
    current = ""
    pieces: list[str] = []
    for count, (token, value) in enumerate(lexer.get_tokens(source)):
        if count % 64 == 0 and time.thread_time() > deadline:
            raise TimeoutError
        name = _class_of(token)
        if name != current and not value.isspace():
            yield current, "".join(pieces)
            current, pieces = name, []
        pieces.append(value)
    yield current, "".join(pieces)


@lru_cache(maxsize=256)
def highlight(language: str, source: str) -> str:
    """The escaped source with `<span class>` elements.

    Without them if the language is unknown, or the source is too long or takes too much time.
    """
    name = language.lower()
    if name not in LANGUAGES - _WITHOUT_LEXER or len(source) > MAX_HIGHLIGHTED_CHARS:
        return escape(source, quote=False)
    try:
        runs = list(_colour_runs(_lexer(name), source))
    except TimeoutError:
        return escape(source, quote=False)
    if "".join(text for _, text in runs) != source:
        return escape(source, quote=False)
    return "".join(
        f'<span class="{name}">{escape(text, quote=False)}</span>' if name else escape(text, quote=False)
        for name, text in runs
    )
