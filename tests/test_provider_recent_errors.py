"""The provider's errors of the last hour."""

from __future__ import annotations

import logging

import pytest

from chat import errors
from chat.infra.process import process
from chat.providers import recent_errors
from chat.providers.recent_errors import KEEP_SECONDS, LOG_INTERVAL_SECONDS, RecentErrors
from tests.completions import ask
from tests.fakes import FakeProvider, error, text


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    process.forget()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recent(clock: Clock) -> RecentErrors:
    return RecentErrors(clock)


def test_the_errors_of_answers_are_counted(fake_provider: FakeProvider) -> None:
    fake_provider.enqueue(error(401), error(401), error(429), text("fine"))
    for _ in range(4):
        ask()
    assert [(each.code, each.status, each.count) for each in recent_errors()] == [
        ("upstream-misconfigured", 401, 2),
        ("upstream-busy", 429, 1),
    ]


def test_those_for_the_administrator_come_first(recent: RecentErrors) -> None:
    recent.add(errors.ProviderMisconfigured(), 401)
    recent.add(errors.ProviderBusy(), 503)
    assert [each.notify_admin for each in recent.latest()] == [True, False]


def test_those_of_one_code_are_counted_by_status(recent: RecentErrors) -> None:
    for status in (500, 503, 500):
        recent.add(errors.ProviderBusy(), status)
    assert {each.status: each.count for each in recent.latest()} == {500: 2, 503: 1}


def test_they_are_forgotten_after_an_hour(recent: RecentErrors, clock: Clock) -> None:
    recent.add(errors.ProviderBusy(), 503)
    clock.now += KEEP_SECONDS + 1
    assert recent.latest() == []


def test_they_are_kept_for_an_hour_after_the_last_one(recent: RecentErrors, clock: Clock) -> None:
    for _ in range(3):
        recent.add(errors.ProviderBusy(), 503)
        clock.now += KEEP_SECONDS - 1
    assert [each.count for each in recent.latest()] == [3]


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_configuration_errors_are_logged_with_the_status(
    fake_provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    fake_provider.enqueue(error(401))
    ask()
    (message,) = logged(caplog)
    assert "401" in message


def test_configuration_errors_are_logged_once_a_minute(
    recent: RecentErrors, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        recent.add(errors.ProviderMisconfigured(), 401)
    assert len(logged(caplog)) == 1
    clock.now += LOG_INTERVAL_SECONDS
    recent.add(errors.ProviderMisconfigured(), 401)
    assert len(logged(caplog)) == 2


def test_other_errors_are_not_logged(recent: RecentErrors, caplog: pytest.LogCaptureFixture) -> None:
    recent.add(errors.ProviderBusy(), 503)
    assert logged(caplog) == []
