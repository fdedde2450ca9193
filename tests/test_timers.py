"""A resettable timer fires once, not before the time that was set last, on either event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
import uvloop

from chat.infra.timers import ResettableTimer

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]
Changes = list[tuple[float, float]]
Event = tuple[str, float]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made


async def record(changes: Changes) -> list[Event]:
    """Set a timer as `changes` say. Returns every ("set", time it is set to) and ("fired", time of the call)."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    events: list[Event] = []
    timer = ResettableTimer(lambda: events.append(("fired", loop.time())))
    for moment, at in changes:
        if moment:
            await asyncio.sleep(start + moment - loop.time())
        events.append(("set", start + at))
        timer.set(start + at)
    await later_timer(max(start + changes[-1][1], loop.time()) + 0.3)
    timer.stop()
    return events


async def later_timer(at: float) -> None:
    """Wait for another timer of the loop: timers with an earlier time are called before it, however late it is."""
    loop = asyncio.get_running_loop()
    called: asyncio.Future[None] = loop.create_future()
    loop.call_at(at, called.set_result, None)
    await called


@pytest.mark.parametrize(
    "changes",
    [
        [(0, 0.05)],
        [(0, 0.03), (0.01, 0.1), (0.02, 0.15)],
        [(0, 5.0), (0.01, 0.06)],
        [(0, 5.0), (0.01, 0.04), (0.02, 0.09)],
        [(0, -1.0), (0, -1.0)],
        [(0, 0.0001), (0, 0.0), (0, 0.00005)],
        [(0, 0.02), (0.05, 0.1)],
    ],
)
def test_it_fires_once_when_the_last_time_has_come(runner: asyncio.Runner, changes: Changes) -> None:
    """`changes` are seconds from the start: when it is set, and to what. On a busy machine it may fire between them."""
    due: float | None = None
    for kind, moment in runner.run(record(changes)):
        if kind == "set":
            due = moment
        else:
            assert due is not None, "it fired twice"
            assert moment >= due, "it fired early"
            due = None
    assert due is None, "it did not fire"


def test_a_stopped_timer_does_not_fire(runner: asyncio.Runner) -> None:
    async def run() -> list[int]:
        fired: list[int] = []
        timer = ResettableTimer(lambda: fired.append(1))
        now = asyncio.get_running_loop().time()
        timer.set(now + 0.02)
        timer.stop()
        await later_timer(now + 0.06)
        return fired

    assert runner.run(run()) == []
