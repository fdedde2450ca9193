"""`manage.py limits`: what operators see and change."""

from __future__ import annotations

import datetime as dt
import json
from io import StringIO

import pytest
from django.core.cache import caches
from django.core.management import CommandError, call_command
from django.utils import timezone

from chat import errors
from chat.limits import limiter, plans
from chat.models import LimitOverride, Plan, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alice():
    caches["ratelimit"].clear()
    Plan.objects.all().delete()
    Plan.objects.create(name="default", is_default=True, requests_per_minute=2, tokens_per_day=10_000)
    return User.objects.create(username="alice")


def limits(*arguments):
    out, err = StringIO(), StringIO()
    call_command("limits", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def rows(*arguments):
    return json.loads(limits(*arguments, "--format=json")[0])


def send(user, reservation_id, tokens=900, end=True):
    subject = plans.subject_of(user)
    limiter.current().reserve_sync(subject, plans.rules_for(user), reservation_id=reservation_id, tokens=tokens)
    if end:
        limiter.current().settle_sync(subject, reservation_id=reservation_id, tokens=tokens, cost=0)


def be_refused(user):
    with pytest.raises(errors.LimitExceeded):
        send(user, "too-many")


def test_show_tells_what_is_used_and_held_and_runs(alice):
    send(alice, "done")
    send(alice, "at-work", end=False)
    minute, day = rows("show", "alice")
    assert (minute["limit_name"], minute["limit"], minute["used"], minute["remaining"]) == (
        "requests_per_minute",
        2,
        2,
        0,
    )
    assert (day["used"], day["held"], day["remaining"]) == (900, 900, 8_200)
    assert 0 < minute["resets_in"] <= 60
    table, note = limits("show", "alice")
    assert "at-work" in table
    assert "done" not in table
    assert "REDIS_URL is not set" in note


def test_reset_gives_back_one_limit_or_all(alice):
    send(alice, "a")
    send(alice, "b")
    assert limits("reset", "alice", "--rule", "requests_per_minute")[0] == "requests_per_minute of alice reset.\n"
    assert [row["used"] for row in rows("show", "alice")] == [0, 1_800]
    assert limits("reset", "alice")[0] == "All limits of alice reset.\n"
    assert [row["used"] for row in rows("show", "alice")] == [0, 0]


@pytest.mark.parametrize(("value", "stored"), [("7", 7), ("0", 0), ("unlimited", None)])
def test_set_binds_at_once_until_the_plan_is_back(alice, value, stored):
    send(alice, "a")
    until = (timezone.now() + dt.timedelta(days=1)).isoformat()
    out, _err = limits("set", "alice", "requests_per_minute", value, "--reason", "trial", "--until", until)
    assert out.startswith(f"alice: requests_per_minute is {value} until ")
    override = LimitOverride.objects.get(user=alice)
    assert (override.value, override.reason, override.expires_at.isoformat()) == (stored, "trial", until)
    names = {rule.name: rule.limit for rule in plans.rules_for(alice)}
    assert names.get("requests_per_minute") == stored
    assert limits("set", "alice", "requests_per_minute", "plan")[0] == "alice: requests_per_minute as the plan says.\n"
    assert plans.rules_for(alice)[0].limit == 2


def test_explain_tells_which_limit_refused_when_and_for_how_long(alice):
    send(alice, "a")
    send(alice, "b")
    be_refused(alice)
    be_refused(alice)
    (row,) = rows("explain", "alice")
    assert (row["limit_name"], row["limit"], row["times"]) == ("requests_per_minute", "2 messages per minute", 2)
    assert 1 <= row["wait"] <= 30
    assert dt.datetime.fromisoformat(row["last"]) <= timezone.now()


def test_explain_finds_the_refusals_of_one_moment(alice):
    send(alice, "a")
    send(alice, "b")
    be_refused(alice)
    now = timezone.localtime()
    assert rows("explain", "alice", "--at", now.strftime("%Y-%m-%dT%H:%M:%S"))
    assert rows("explain", "alice", "--at", f"{now - dt.timedelta(hours=1):%Y-%m-%dT%H:%M}") == []
    _out, err = limits("explain", "alice", "--at", "2020-02-29T12:00Z")
    assert "Nothing to show." in err
    assert "The 1 refusals on record end at" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("show", "nobody"), "There is no user 'nobody'."),
        (("reset", "alice", "--rule", "teapots"), "invalid choice: 'teapots'"),
        (("set", "alice", "teapots", "1"), "invalid choice: 'teapots'"),
        (("set", "alice", "tokens_per_day", "-1"), "unrecognized arguments: -1|the following arguments|is a number"),
        (("set", "alice", "tokens_per_day", "many"), "The value is a number"),
        (("set", "alice", "tokens_per_day", "1" * 16), "The value is a number up to 999,999,999,999,999"),
        (("set", "alice", "tokens_per_day", "٣"), "The value is a number"),
        (("set", "alice", "tokens_per_day", "1", "--until", "soon"), "'soon' is not a time such as"),
        (("set", "alice", "tokens_per_day", "1", "--until", "2020-01-01T00:00"), "is in the past"),
        (("explain", "alice", "--at", "2026-02-30T00:00"), "is not a time such as"),
        (("explain",), "the following arguments are required: username"),
        ((), "the following arguments are required: verb"),
    ],
)
def test_a_wrong_argument_is_one_line_and_changes_nothing(arguments, complaint):
    with pytest.raises(CommandError, match=complaint) as caught:
        limits(*arguments)
    assert "\n" not in str(caught.value)
    assert not LimitOverride.objects.exists()
