"""The helpers that wait for a condition."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import await_until, wait_until


def test_it_returns_the_first_true_value() -> None:
    values = iter([0, "", None, "there"])
    assert wait_until(lambda: next(values)) == "there"


def test_a_condition_that_is_true_at_once_is_called_once() -> None:
    values = iter([True, False])
    wait_until(lambda: next(values), timeout=0)
    assert next(values) is False


def test_it_fails_with_the_last_value_after_the_timeout() -> None:
    with pytest.raises(AssertionError, match=r"was still \[\] after 0.05 s"):
        wait_until(list, timeout=0.05)


def test_it_fails_with_the_message_given() -> None:
    with pytest.raises(AssertionError, match="no answer: 7"):
        wait_until(lambda: False, timeout=0, message=lambda: f"no answer: {3 + 4}")


def test_errors_of_the_condition_are_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 // 0)


def test_the_event_loop_is_free_while_it_waits() -> None:
    async def run() -> str:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, event.set)
        await await_until(event.is_set)
        return "set"

    assert asyncio.run(run()) == "set"


def test_a_condition_may_be_a_coroutine_function() -> None:
    values = iter([0, 0, 5])

    async def condition() -> int:
        await asyncio.sleep(0)
        return next(values)

    assert asyncio.run(await_until(condition)) == 5


def test_the_asynchronous_one_fails_after_the_timeout() -> None:
    with pytest.raises(AssertionError, match="was still False"):
        asyncio.run(await_until(lambda: False, timeout=0.05))
