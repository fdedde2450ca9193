"""The colours of code are defined for every class, in both schemes, and can be read."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from chat.markdown.code import CLASSES

CSS = (settings.BASE_DIR / "static/chat/highlight.css").read_text()
SCHEMES = [
    dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r"\{([^{}]*--code-bg[^{}]*)\}", CSS)
]


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark by preference", "dark by choice"])
def test_every_colour_of_code_can_be_read(scheme: dict[str, str]) -> None:
    assert scheme.keys() == SCHEMES[0].keys()
    poor = {
        name: value
        for name, value in scheme.items()
        if name != "--code-bg" and contrast(value, scheme["--code-bg"]) < 4.5
    }
    assert not poor


def test_both_ways_to_the_dark_scheme_are_the_same() -> None:
    assert len(SCHEMES) == 3
    assert SCHEMES[1] == SCHEMES[2] != SCHEMES[0]


def test_every_class_has_a_rule_and_every_rule_a_class() -> None:
    assert set(re.findall(r"\.code \.(\w+)", CSS)) == CLASSES


def test_every_colour_is_defined() -> None:
    assert set(re.findall(r"var\((--[\w-]+)\)", CSS)) <= SCHEMES[0].keys()
