"""The Markdown dialect: CommonMark with tables, strikethrough and task lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyromark
from pyromark import Options

_OPTIONS: Final = Options.ENABLE_TABLES | Options.ENABLE_STRIKETHROUGH | Options.ENABLE_TASKLISTS
_MAX_DEFINITIONS: Final = 200

Definitions = Mapping[str, tuple[str, str]]
"""Link reference definitions: URL and title by normalised label."""


def parse(source: str, definitions: Definitions | None = None) -> Iterator[Any]:
    """The parser's events. References without a definition in `source` are looked up in `definitions`."""
    if not definitions:
        return pyromark.events(source, options=_OPTIONS)
    return pyromark.events(
        source, options=_OPTIONS, broken_link_callback=lambda link: definitions.get(_label(link["reference"]))
    )


def parse_with_ranges(source: str) -> Iterator[Any]:
    """The parser's events with their ranges in UTF-8 bytes."""
    return pyromark.events_with_range(source, options=_OPTIONS)


def link_definitions(source: str, known: Definitions) -> Definitions:
    """The known definitions and those in `source`. The first definition of a label counts."""
    if "]:" not in source or len(known) >= _MAX_DEFINITIONS:
        return known
    found = pyromark.reference_definitions(source, options=_OPTIONS)
    return {**{_label(label): (link["dest"], link["title"] or "") for label, link in found.items()}, **known}


def _label(text: str) -> str:
    return " ".join(text.split()).casefold()
