"""Charts as plain SVG geometry: attributes only, so that they need neither script nor inline style.

Coordinates are strings: numbers in templates would be written as the reader's language writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

HEIGHT = 100
STEP = 10
GAP = 2


@dataclass(frozen=True, kw_only=True)
class Series:
    """One measure; `kind` is its CSS class. None is nothing measured."""

    kind: str
    label: str
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Bar:
    kind: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one day shows, and says when pointed at."""

    x: str
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True, kw_only=True)
class Line:
    kind: str
    points: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    title: str
    summary: str
    top: str
    middle: str
    first: str
    last: str
    width: int
    columns: Sequence[Column]
    lines: Sequence[Line]
    legend: Sequence[Series]


Words = Callable[[float], str]


def bars(title: str, labels: Sequence[str], series: Sequence[Series], words: Words) -> Chart:
    """A column of stacked bars for each label."""
    top = nice(max((sum(each.values[i] or 0 for each in series) for i in range(len(labels))), default=0))
    columns = []
    for place, label in enumerate(labels):
        stack, below = [], 0.0
        for each in series:
            height = (each.values[place] or 0) / top * HEIGHT
            if height:
                below += height
                stack.append(_bar(each.kind, place, HEIGHT - below, height))
        columns.append(Column(x=str(place * STEP), title=_title(label, place, series, words), bars=stack))
    return _chart(title, labels, series, words, top, columns, [])


def lines(title: str, labels: Sequence[str], series: Sequence[Series], words: Words, floor: float = 0) -> Chart:
    """A line for each series, broken where nothing was measured; the top is at least `floor`."""
    top = nice(max((value for each in series for value in each.values if value is not None), default=0), floor)
    drawn = [Line(kind=each.kind, points=points) for each in series for points in _segments(each.values, top)]
    columns = [
        Column(x=str(place * STEP), title=_title(label, place, series, words), bars=())
        for place, label in enumerate(labels)
    ]
    return _chart(title, labels, series, words, top, columns, drawn)


def nice(value: float, floor: float = 0) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten: a top that halves well."""
    value = max(value, floor)
    if value <= 0:
        return 1
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= value * (1 - 1e-9))


def _bar(kind: str, place: int, y: float, height: float) -> Bar:
    return Bar(
        kind=kind,
        x=_number(place * STEP + GAP / 2),
        y=_number(y),
        width=_number(STEP - GAP),
        height=_number(height),
    )


def _segments(values: Sequence[float | None], top: float) -> list[str]:
    segments = []
    for measured, run in groupby(enumerate(values), key=lambda item: item[1] is not None):
        if measured:
            points = [
                f"{_number(place * STEP + STEP / 2)},{_number(HEIGHT - (value or 0) / top * HEIGHT)}"
                for place, value in run
            ]
            segments.append(" ".join(points * 2 if len(points) == 1 else points))
    return segments


def _title(label: str, place: int, series: Sequence[Series], words: Words) -> str:
    parts = []
    for each in series:
        value = each.values[place]
        said = "–" if value is None else words(value)
        parts.append(f"{each.label} {said}" if len(series) > 1 else said)
    return f"{label}: {', '.join(parts)}"


def _chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    words: Words,
    top: float,
    columns: Sequence[Column],
    drawn: Sequence[Line],
) -> Chart:
    return Chart(
        title=title,
        summary=f"{title}, {labels[0]} – {labels[-1]}" if labels else title,
        top=words(top),
        middle=words(top / 2),
        first=labels[0] if labels else "",
        last=labels[-1] if len(labels) > 1 else "",
        width=max(len(labels), 1) * STEP,
        columns=columns,
        lines=drawn,
        legend=series if len(series) > 1 else (),
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
