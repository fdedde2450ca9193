"""Frames grow rarer while a process is nearly out of time, and come as before once it is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chat.infra import frame_rate


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    yield
    for _ in range(100):
        frame_rate.adjust(0.0)


def test_a_busy_process_sends_fewer_frames_up_to_a_limit() -> None:
    seen = []
    for _ in range(100):
        frame_rate.adjust(0.99)
        seen.append(frame_rate.scaled(1.0))
    assert seen == sorted(seen)
    assert 1.0 < seen[0] < seen[-1] == frame_rate.SLOWEST


def test_after_a_rush_it_is_at_its_usual_pace_as_soon_as_there_is_room_for_it() -> None:
    for _ in range(4):
        frame_rate.adjust(0.99)
    slowest = frame_rate.scaled(1.0)
    frame_rate.adjust(frame_rate.CALM - 0.01)
    assert 1.0 < frame_rate.scaled(1.0) < slowest, "the usual pace may be more than it can keep"
    frame_rate.adjust(frame_rate.BUSY / slowest)
    assert frame_rate.scaled(1.0) == 1.0


def test_it_keeps_its_pace_between_busy_and_calm_and_recovers() -> None:
    frame_rate.adjust(0.99)
    slower = frame_rate.scaled(1.0)
    frame_rate.adjust((frame_rate.BUSY + frame_rate.CALM) / 2)
    assert frame_rate.scaled(1.0) == slower
    frame_rate.adjust(0.1)
    assert frame_rate.scaled(1.0) == 1.0
