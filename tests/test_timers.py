"""A timer that is put off rings once, never too early, on either event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from chat.infra.timers import ResettableTimer

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest):
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made


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
def test_it_rings_when_it_was_last_set_to(runner: asyncio.Runner, changes: list[tuple[float, float]]) -> None:
    """`changes` are seconds from the start: when it is set, and to what."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        start, rang = loop.time(), []
        timer = ResettableTimer(lambda: rang.append(loop.time()))
        for moment, at in changes:
            if moment:
                await asyncio.sleep(start + moment - loop.time())
            timer.set(start + at)
        last = start + changes[-1][1]
        while not rang or rang[-1] < last:
            await asyncio.sleep(0.005)
            assert loop.time() < start + 3
        await asyncio.sleep(0.05)
        assert len([moment for moment in rang if moment >= last]) == 1
        assert all(any(moment >= start + at for _, at in changes) for moment in rang)

    runner.run(run())


def test_a_stopped_one_is_silent(runner: asyncio.Runner) -> None:
    async def run() -> list[int]:
        rang: list[int] = []
        timer = ResettableTimer(lambda: rang.append(1))
        timer.set(asyncio.get_running_loop().time() + 0.02)
        timer.stop()
        await asyncio.sleep(0.06)
        return rang

    assert runner.run(run()) == []
