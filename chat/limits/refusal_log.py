"""The recent refusals that a record keeps, for whoever has to explain them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat.limits.values import RuleState, State

REFUSALS = 20
REFUSAL_MERGE_MS = 60_000


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Equal refusals within a minute are one, counted in `times`; `waits_ms` are the latest."""

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
        found.append(
            Refusal(first=int(first), last=int(last), times=int(times), waits_ms={n: int(w) for n, _, w in pairs})
        )
    return found


def log_refusal(state: State, now: int, refused: Sequence[RuleState]) -> None:
    waits = "+".join(f"{each.rule.name}={each.wait_ms}" for each in refused)
    entries = state["x"].split(";") if "x" in state else []
    first, times = now, 1
    if entries:
        began, last, count, before = entries[-1].split(",")
        same = [pair.partition("=")[0] for pair in before.split("+")] == [each.rule.name for each in refused]
        if same and 0 <= now - int(last) <= REFUSAL_MERGE_MS:
            first, times = int(began), int(count) + 1
            entries.pop()
    entries.append(f"{first},{now},{times},{waits}")
    state["x"] = ";".join(entries[-REFUSALS:])
