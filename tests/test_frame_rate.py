"""Frames become rarer while a process is short of CPU, and return to the usual interval once it is not."""

from __future__ import annotations

import pytest

from chat.infra.frame_rate import BUSY_SHARE, CALM_SHARE, MAX_FACTOR, FrameRate


@pytest.fixture
def rate() -> FrameRate:
    return FrameRate()


def test_a_busy_process_sends_fewer_frames_up_to_a_limit(rate: FrameRate) -> None:
    seen = []
    for _ in range(100):
        rate.adjust(0.99)
        seen.append(rate.factor)
    assert seen == sorted(seen)
    assert 1.0 < seen[0] < seen[-1] == MAX_FACTOR


def test_after_a_rush_it_slows_down_while_the_usual_interval_would_cost_too_much(rate: FrameRate) -> None:
    for _ in range(4):
        rate.adjust(0.99)
    slowest = rate.factor
    rate.adjust(CALM_SHARE - 0.01)
    assert 1.0 < rate.factor < slowest


def test_after_a_rush_it_returns_to_the_usual_interval_as_soon_as_there_is_room_for_it(rate: FrameRate) -> None:
    for _ in range(4):
        rate.adjust(0.99)
    rate.adjust(BUSY_SHARE / rate.factor - 0.001)
    assert rate.factor == 1.0


def test_it_stays_as_it_is_between_busy_and_calm(rate: FrameRate) -> None:
    rate.adjust(0.99)
    slower = rate.factor
    rate.adjust((BUSY_SHARE + CALM_SHARE) / 2)
    assert rate.factor == slower
