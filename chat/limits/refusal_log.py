"""The recent refusals that a subject's state keeps, to explain them later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat.limits.values import RuleState, State

REFUSALS_KEPT = 20
MERGE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Refusals by the same rules, each within a minute of the one before, are one, counted in `times`.

    `first` and `last` are times, `waits_ms` the waits of the last one by rule name.
    """

    first: int
    last: int
    times: int
    waits_ms: Mapping[str, int]


def refusals(state: State) -> list[Refusal]:
    """Newest last."""
    found = []
    for entry in filter(None, state.get("x", "").split(";")):
        first, last, times, waits = entry.split(",")
        pairs = (pair.partition("=") for pair in waits.split("+"))
        waits_ms = {name: int(wait) for name, _, wait in pairs}
        found.append(Refusal(first=int(first), last=int(last), times=int(times), waits_ms=waits_ms))
    return found


def log_refusal(state: State, now: int, refused: Sequence[RuleState]) -> None:
    """`refused` are the rules that refused."""
    waits = "+".join(f"{each.rule.name}={each.wait_ms}" for each in refused)
    entries = state["x"].split(";") if "x" in state else []
    first, times = now, 1
    if entries:
        first_of_last, last, count, earlier_waits = entries[-1].split(",")
        same = [pair.partition("=")[0] for pair in earlier_waits.split("+")] == [each.rule.name for each in refused]
        if same and 0 <= now - int(last) <= MERGE_MS:
            first, times = int(first_of_last), int(count) + 1
            entries.pop()
    entries.append(f"{first},{now},{times},{waits}")
    state["x"] = ";".join(entries[-REFUSALS_KEPT:])
