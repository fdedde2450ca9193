"""Who counts as dead."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from chat.answers import recovery
from chat.answers.liveness import Liveness, machine
from chat.answers.recovery import outcome_of
from chat.limits import limiter, plans
from chat.limits.reservations import RESERVATION_MS
from chat.models import Conversation, Message, ServerProcess, UsageRecord, User

pytestmark = pytest.mark.django_db
OLD = dt.timedelta(seconds=60)


def process(host: str = "elsewhere", pid: int = 1, age: dt.timedelta = dt.timedelta()) -> ServerProcess:
    return ServerProcess.objects.create(host=host, pid=pid, heartbeat_at=timezone.now() - age)


def gone_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def running(db: Any) -> Message:
    conversation = Conversation.objects.create(user=User.objects.create_user("alice"))
    question = Message.objects.create(conversation=conversation, role="user", content="?")
    return Message.objects.create(
        conversation=conversation, parent=question, role="assistant", status="streaming", content="half", model="m"
    )


def test_nobody_is_dead_for_an_old_heartbeat_alone() -> None:
    other, liveness = process(age=OLD), Liveness(second_look=0)
    assert not Liveness().is_dead(other)
    assert not Liveness().is_dead(other)
    liveness.is_dead(other)
    other.heartbeat_at += dt.timedelta(seconds=5)
    assert not liveness.is_dead(other), "its heart beats, though our clock says it is late"


def test_a_heartbeat_that_stands_still_between_two_looks_is_the_end() -> None:
    other, liveness = process(age=OLD), Liveness(second_look=0)
    liveness.is_dead(other)
    assert liveness.is_unsure
    assert liveness.is_dead(other)


def test_a_process_of_this_machine_is_dead_when_its_number_is_free_or_ours() -> None:
    here = machine()
    assert Liveness().is_dead(process(here, gone_pid()))
    assert Liveness().is_dead(process(here, os.getpid())), "an earlier process had our number"
    assert not Liveness().is_dead(process(here, os.getppid()))
    assert not Liveness().is_dead(process("another container", gone_pid()))


@pytest.mark.parametrize("expired", [False, True], ids=["reservation live", "reservation expired"])
def test_a_death_between_the_books_and_the_limiter_is_made_good_from_the_books(
    running: Message, monkeypatch: pytest.MonkeyPatch, expired: bool
) -> None:
    user = running.conversation.user
    subject, rules = f"user:{user.pk}", tuple(plans.rules_for(user))
    limiter.current().reserve_sync(subject, rules, reservation_id=str(running.pk), tokens=1_000)
    running.owner = process(machine(), gone_pid())
    running.save()
    outcome = replace(outcome_of(running, None), status="complete", prompt_tokens=300, completion_tokens=77)
    assert Message.objects.finish(outcome)
    if expired:
        later = time.time() + RESERVATION_MS / 1000 + 1
        monkeypatch.setattr(time, "time", lambda: later)
    recovery.settle_dead_processes(Liveness())
    states = {state.rule.name: state for state in limiter.current().peek_sync(subject, rules)}
    assert (states["tokens_per_day"].used, states["tokens_per_day"].reserved) == (377, 0)
    assert limiter.current().reservations_sync(subject) == []


def test_an_answer_is_closed_once_with_its_text_and_one_line_in_the_books(running: Message) -> None:
    ours = process(machine(), os.getppid())
    running.owner = ours
    running.save()
    assert recovery.recover(Message.objects.all(), Liveness()) == []
    running.owner = None
    running.save()
    assert [outcome.status for outcome in recovery.recover(Message.objects.all(), Liveness())] == ["interrupted"]
    assert recovery.recover(Message.objects.all(), Liveness()) == []
    running.refresh_from_db()
    assert (running.status, running.content, running.error_code) == ("interrupted", "half", "restarted")
    record = UsageRecord.objects.get()
    assert (record.status, record.exact) == ("interrupted", False)


def test_an_abandoned_continuation_is_charged_only_for_what_it_added(running: Message) -> None:
    earlier = "What an earlier answer had said already. " * 20
    running.content, running.prefix_length, running.prompt_tokens = earlier + "And more.", len(earlier), 7
    running.save()
    assert recovery.recover(Message.objects.all(), Liveness())
    row = UsageRecord.objects.get()
    assert (row.prompt_tokens, row.exact) == (7, False)
    assert 0 < row.completion_tokens < 10


def test_an_abandoned_continuation_that_added_nothing_costs_nothing(running: Message) -> None:
    running.prefix_length, running.prompt_tokens = len(running.content), 7
    running.save()
    assert recovery.recover(Message.objects.all(), Liveness())
    row = UsageRecord.objects.get()
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (0, 0, 0)
