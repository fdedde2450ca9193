"""What every rule promises, on the pure decision, with a clock of our own."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.limits import rules as pure
from chat.limits.periods import period_edges
from chat.limits.refusal_log import refusals as recorded
from chat.limits.reservations import EXPIRED_KEPT_MS, RESERVATION_MS
from chat.limits.values import NEVER, Renewal, ReservationRequest, Rule, Settlement
from tests.limiting import most_in_any

EXAMPLES = 2_000 if os.environ.get("SOAK") == "1" else 80
pytestmark = pytest.mark.timeout(1800 if EXAMPLES > 80 else 120)
prove = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
UTC = ZoneInfo("UTC")
START = 1_793_491_200_000 - 90_000
"""A minute and a half before a midnight."""

BUCKET = Rule(name="minute", kind="bucket", unit="request", limit=7, window=10, burst=4)
WINDOW = Rule(name="strict", kind="window", unit="request", limit=5, window=20)
PACE = Rule(name="pace", kind="window", unit="token", limit=3_000, window=20)
DAY = Rule(name="tokens_day", kind="calendar", unit="token", limit=5_000, period="day")
REQUESTS = Rule(name="requests_day", kind="calendar", unit="request", limit=6, period="day")
COST = Rule(name="cost_month", kind="calendar", unit="cost", limit=9_000, period="month")
ANSWERS = Rule(name="answers", kind="concurrent", unit="answer", limit=2)
ALL = (BUCKET, WINDOW, PACE, DAY, REQUESTS, COST, ANSWERS)
COUNTS = {rule.name: 0 for rule in ALL}

steps = st.lists(st.integers(0, 9_000), min_size=1, max_size=80)
rule_sets = st.lists(st.sampled_from(ALL), min_size=1, max_size=5, unique=True).map(tuple)


class Subject:
    """One record and what happened to it."""

    def __init__(self, rules, now=START, zone=UTC):
        self.rules, self.now, self.zone = rules, now, zone
        self.state, self.count = {}, 0

    def ask(self, tokens=0, cost=0, reservation_id=None, at=None, rules=None, min_tokens=1):
        self.count += reservation_id is None
        request = ReservationRequest(
            reservation_id=reservation_id or f"id-{self.count}",
            tokens=tokens,
            cost=cost,
            min_tokens=min_tokens,
        )
        now = self.now if at is None else at
        self.state, decision = pure.decide(
            self.state,
            now,
            self.rules if rules is None else rules,
            request,
            edges=period_edges(now, self.zone),
            initial_counts=COUNTS,
        )
        return decision

    def renew(self, reservation_id, tokens=0, cost=0):
        edges = period_edges(self.now, self.zone)
        renewal = Renewal(subject="s", rules=self.rules, reservation_id=reservation_id, tokens=tokens, cost=cost)
        self.state = pure.renew(self.state, self.now, renewal, edges=edges)

    def settle(self, reservation_id, tokens=0, cost=0, refund=False):
        settlement = Settlement(reservation_id=reservation_id, tokens=tokens, cost=cost, refund_request=refund)
        self.state, settled = pure.settle(self.state, self.now, settlement)
        return settled

    def peek(self, rules=None):
        edges = period_edges(self.now, self.zone)
        return pure.peek(self.state, self.now, rules or self.rules, edges=edges, initial_counts=COUNTS).states

    def used(self):
        return {state.rule.name: state.used for state in self.peek()}

    def counters(self):
        return {name: text for name, text in self.state.items() if name[0] in "bwc"}


@prove
@given(steps=steps)
def test_a_bucket_admits_no_more_than_burst_and_rate_allow_in_any_interval(steps):
    subject, admitted = Subject((BUCKET,)), []
    for step in steps:
        subject.now += step // 8
        if subject.ask().allowed:
            admitted.append(subject.now)
    for i, first in enumerate(admitted):
        for j in range(i, len(admitted)):
            assert (j - i + 1 - BUCKET.burst) * BUCKET.window_ms <= (admitted[j] - first) * BUCKET.limit


@prove
@given(steps=steps)
def test_a_window_never_admits_more_than_its_limit_in_any_window(steps):
    subject, admitted = Subject((WINDOW,)), []
    for step in steps:
        subject.now += step // 8
        if subject.ask().allowed:
            admitted.append(subject.now)
    assert most_in_any(admitted, WINDOW.window_ms) <= WINDOW.limit


@prove
@given(steps=steps)
def test_a_quota_admits_no_more_than_its_limit_in_a_period(steps):
    subject, admitted = Subject((REQUESTS,)), []
    for step in steps:
        subject.now += step * 3
        if subject.ask().allowed:
            admitted.append(dt.datetime.fromtimestamp(subject.now / 1000, UTC).date())
    assert all(admitted.count(day) <= REQUESTS.limit for day in set(admitted))


@prove
@given(steps=steps, tokens=st.integers(1, 2_000))
def test_tokens_granted_in_any_window_stay_below_the_limit(steps, tokens):
    subject, granted = Subject((PACE,)), []
    for step in steps:
        subject.now += step
        decision = subject.ask(tokens=tokens, min_tokens=50)
        if decision.allowed:
            granted.append((subject.now, decision.tokens))
            subject.settle(f"id-{subject.count}", tokens=decision.tokens)
    for end, _ in granted:
        inside = sum(amount for time, amount in granted if end - PACE.window_ms < time <= end)
        assert inside <= PACE.limit


@prove
@given(steps=steps)
def test_live_reservations_never_exceed_the_limit(steps):
    subject, live = Subject((ANSWERS,)), {}
    for step in steps:
        subject.now += step
        live = {reservation_id: until for reservation_id, until in live.items() if until > subject.now}
        if subject.ask().allowed:
            live[f"id-{subject.count}"] = subject.now + RESERVATION_MS
        assert len(live) <= ANSWERS.limit


@prove
@given(steps=steps, rules=rule_sets, tokens=st.integers(0, 2_500), cost=st.integers(0, 2_000))
def test_the_wait_is_honest(steps, rules, tokens, cost):
    """Refused with a wait: admitted when it is over, and not two milliseconds sooner."""
    subject = Subject(rules)
    for step in steps:
        subject.now += step
        before = dict(subject.state)
        decision = subject.ask(tokens, cost)
        if decision.allowed:
            subject.settle(f"id-{subject.count}", tokens, cost)
            continue
        waits = [state.wait_ms for state in decision.violated]
        after, subject.state = subject.state, before
        if NEVER in waits:
            assert not subject.ask(tokens, cost, at=subject.now + 40 * 86_400_000).allowed
        else:
            subject.state = dict(before)
            assert subject.ask(tokens, cost, at=subject.now + max(waits)).allowed
            subject.state = dict(before)
            assert not subject.ask(tokens, cost, at=max(subject.now, subject.now + max(waits) - 2)).allowed
        subject.state = after


@prove
@given(steps=steps, rules=rule_sets, tokens=st.integers(0, 2_500), cost=st.integers(0, 2_000))
def test_a_refusal_consumes_nothing_and_peeking_changes_nothing(steps, rules, tokens, cost):
    subject = Subject(rules)
    for step in steps:
        subject.now += step
        before = subject.state
        subject.peek()
        assert subject.state is before
        if not subject.ask(tokens, cost).allowed:
            swept = pure.settle(before, subject.now, Settlement(reservation_id="nobody", tokens=0, cost=0))[0]
            kept = {name: text for name, text in subject.state.items() if name not in ("x", "ttl")}
            assert kept == {name: text for name, text in swept.items() if name not in ("x", "ttl")}


def test_one_exhausted_rule_leaves_the_others_where_they_were():
    subject = Subject((BUCKET, WINDOW, DAY, REQUESTS, replace(COST, limit=10)))
    assert subject.ask(tokens=100, cost=10).allowed
    subject.settle("id-1", 100, 10)
    before = subject.counters()
    refused = subject.ask(tokens=100, cost=10)
    assert [state.rule.name for state in refused.violated] == ["cost_month"]
    assert subject.counters() == before


lives = st.lists(
    st.tuples(
        st.sampled_from(("ask", "renew", "settle", "settle again", "refund", "die", "late renew")),
        st.integers(0, 40_000),
        st.integers(0, 700),
    ),
    max_size=60,
)


@prove
@given(lives=lives)
def test_what_is_booked_is_what_was_settled_plus_the_last_words_of_the_dead(lives):
    """Whatever is repeated, late or out of order, and however many are killed."""
    rules = (replace(COST, limit=10**9), replace(DAY, period="month", limit=10**9))
    subject, running, ended, ended_at, booked = Subject(rules, now=START - 10 * 86_400_000), {}, [], 0, 0
    for action, step, tokens in lives:
        subject.now += step
        for reservation_id, (until, floor) in list(running.items()):
            if until <= subject.now:
                booked += floor
                del running[reservation_id]
        reservation_id = next(iter(running), None)
        if action == "ask":
            subject.ask(tokens=1_000, cost=1_000)
            running[f"id-{subject.count}"] = (subject.now + RESERVATION_MS, 0)
        elif action == "settle again" and ended:
            assert not subject.settle(ended[-1], 999, 999)
        elif action == "late renew" and ended and subject.now - ended_at < 60_000:
            subject.renew(ended[-1], 999, 999)
        elif reservation_id is None:
            continue
        elif action == "renew":
            floor = max(running[reservation_id][1], tokens)
            subject.renew(reservation_id, tokens, tokens)
            running[reservation_id] = (subject.now + RESERVATION_MS, floor)
        elif action in ("settle", "refund"):
            assert subject.settle(reservation_id, tokens, tokens, refund=action == "refund")
            ended.append(reservation_id)
            ended_at = subject.now
            booked += tokens
            del running[reservation_id]
    subject.now += RESERVATION_MS
    booked += sum(floor for _until, floor in running.values())
    assert subject.used() == {"cost_month": booked, "tokens_day": booked}


def test_a_process_that_slept_through_its_reservation_is_charged_once_when_it_wakes():
    subject = Subject((replace(DAY, limit=10**6), ANSWERS))
    subject.ask(tokens=1_000, reservation_id="slept")
    subject.renew("slept", tokens=300)
    subject.now += RESERVATION_MS
    assert subject.used() == {"tokens_day": 300, "answers": 0}
    subject.renew("slept", tokens=500)
    assert subject.used() == {"tokens_day": 300, "answers": 1}
    assert subject.settle("slept", tokens=800)
    assert subject.used() == {"tokens_day": 800, "answers": 0}


def test_an_expired_reservation_is_charged_the_rest_once_when_its_end_is_known():
    subject = Subject((replace(DAY, period="month", limit=10**6), ANSWERS), now=START - 10 * 86_400_000)
    for reservation_id in ("late", "too-late"):
        subject.ask(tokens=1_000, reservation_id=reservation_id)
        subject.renew(reservation_id, tokens=300)
    subject.now += RESERVATION_MS
    assert subject.used() == {"tokens_day": 600, "answers": 0}
    assert subject.settle("late", tokens=700)
    assert not subject.settle("late", tokens=900)
    subject.now += EXPIRED_KEPT_MS
    assert not subject.settle("too-late", tokens=700)
    assert subject.used() == {"tokens_day": 1_000, "answers": 0}


@pytest.mark.parametrize("rule", [BUCKET, WINDOW, REQUESTS], ids=lambda rule: rule.name)
def test_a_refund_gives_one_request_back_and_never_more(rule):
    subject = Subject((rule,))
    subject.ask(reservation_id="a")
    subject.ask(reservation_id="b")
    assert subject.settle("a", refund=True)
    assert subject.used()[rule.name] == 1
    assert not subject.settle("a", refund=True)
    assert subject.used()[rule.name] == 1


@pytest.mark.parametrize("rule", [BUCKET, WINDOW, REQUESTS], ids=lambda rule: rule.name)
def test_a_refund_after_the_period_takes_nothing_from_the_next(rule):
    subject = Subject((rule,), now=1_793_491_200_000 - 1_000)
    subject.ask(reservation_id="old")
    while subject.now < 1_793_491_200_000 + 30_000:
        subject.now += 10_000
        subject.renew("old")
    subject.ask(reservation_id="new")
    subject.settle("old", refund=True)
    assert subject.used()[rule.name] == (0 if rule.kind == "bucket" else 1)


@prove
@given(steps=steps, back=st.sampled_from((1_000, 60_000, 3_600_000, 86_400_000)), place=st.integers(0, 40))
def test_a_clock_that_steps_back_costs_at_most_one_more_burst_and_locks_nobody_out(steps, back, place):
    true_time, offset = START, 0
    for rule in (BUCKET, WINDOW):
        subject, admitted = Subject((rule,)), []
        for number, step in enumerate(steps):
            offset = -back if number >= place else 0
            true_time += step
            subject.now = true_time + offset
            if subject.ask().allowed:
                admitted.append(true_time)
        length = rule.window_ms
        whole = rule.capacity + (rule.limit if rule.kind == "bucket" else 0)
        assert most_in_any(admitted, length) <= whole + rule.capacity
        subject.now += length * 21 // 20
        assert subject.ask().allowed


def test_stepping_back_over_midnight_opens_no_second_quota():
    midnight = 1_793_491_200_000
    subject = Subject((REQUESTS,), now=midnight + 1_000)
    assert [subject.ask().allowed for _ in range(7)].count(True) == 6
    subject.now = midnight - 1_000
    assert not subject.ask().allowed
    subject.now = midnight + 2_000
    assert not subject.ask().allowed


def test_a_clock_that_was_a_year_ahead_locks_nobody_out_for_a_year():
    subject = Subject((REQUESTS,), now=START + 365 * 86_400_000)
    for _ in range(7):
        subject.ask()
    subject.now = START
    wait = subject.ask().violated[0].wait_ms
    assert wait <= 86_400_000
    subject.now += wait
    assert subject.ask().allowed


@prove
@given(steps=steps, more=st.integers(1, 20))
def test_a_higher_limit_never_refuses_what_a_lower_one_admits(steps, more):
    for rule in (BUCKET, WINDOW, REQUESTS):
        low, high = (
            Subject((rule,)),
            Subject((replace(rule, limit=rule.limit + more, burst=rule.burst and rule.burst + more),)),
        )
        for step in steps:
            low.now = high.now = low.now + step
            if low.ask().allowed:
                assert high.ask().allowed
                continue
            break


@prove
@given(steps=st.lists(st.integers(3_000, 30_000), max_size=50))
def test_below_every_limit_nobody_is_refused(steps):
    subject = Subject(ALL)
    for number, step in enumerate(steps[:6]):
        subject.now += step + 2_000
        assert subject.ask(tokens=400, cost=300).allowed
        subject.settle(f"id-{subject.count}", 400, 300, refund=number % 2 == 0)


def test_what_is_left_is_granted_when_it_is_still_enough():
    subject = Subject((DAY, COST))
    assert subject.ask(tokens=4_000, cost=4_000, min_tokens=256).tokens == 4_000
    short = subject.ask(tokens=2_000, cost=2_000, min_tokens=256)
    assert (short.allowed, short.tokens, short.cost) == (True, 1_000, 1_000)
    refused = subject.ask(tokens=2_000, cost=10, min_tokens=256)
    assert [state.rule.name for state in refused.violated] == ["tokens_day"]
    assert refused.violated[0].wait_ms == 2_000, "an answer that ends may free enough"


def test_a_budget_in_money_shortens_the_answer_too():
    decision = Subject((replace(COST, limit=500),)).ask(tokens=1_000, cost=1_000, min_tokens=256)
    assert (decision.tokens, decision.cost) == (500, 500)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_zero_blocks_and_says_that_waiting_is_no_use(rule):
    refused = Subject((replace(rule, limit=0),)).ask(tokens=1, cost=1)
    assert not refused.allowed
    assert refused.violated[0].wait_ms == NEVER


@pytest.mark.parametrize("limit", [1, 10**12])
@pytest.mark.parametrize("rule", [PACE, DAY, COST], ids=lambda rule: rule.name)
def test_the_whole_limit_can_be_taken_and_no_more(rule, limit):
    rule = replace(rule, limit=limit)
    subject = Subject((rule,), now=0)
    assert not subject.ask(tokens=limit + 1, cost=limit + 1, min_tokens=limit + 1).allowed
    assert subject.ask(tokens=limit, cost=limit, min_tokens=limit).allowed
    assert not subject.ask(tokens=1, cost=1).allowed
    assert subject.ask(tokens=0, cost=0).allowed


def test_the_same_reservation_twice_is_one_charge():
    subject = Subject((BUCKET, DAY))
    first = subject.ask(tokens=100, reservation_id="same")
    again = subject.ask(tokens=100, reservation_id="same")
    assert (first.is_new, again.is_new) == (True, False)
    assert {state.rule.name: state.used + state.reserved for state in again.states} == {"minute": 1, "tokens_day": 100}


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("Pacific/Kiritimati", "2026-12-31T23:59", 24),
        ("Etc/GMT+12", "2026-06-01T00:00", 24),
        ("America/Santiago", "2026-09-06T12:00", 23),
    ],
)
def test_days_are_as_long_as_the_zone_says(zone, moment, hours):
    now = dt.datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000
    start, end, after = period_edges(int(now), ZoneInfo(zone))["day"]
    assert start <= now < end < after
    assert end - start == hours * 3_600_000


@pytest.mark.parametrize(
    ("moment", "days"), [("2028-02-29T23:59", (29, 31)), ("2027-02-01T00:00", (28, 31)), ("2026-12-31T12:00", (31, 31))]
)
def test_months_are_calendar_months(moment, days):
    now = dt.datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000
    start, end, after = period_edges(int(now), UTC)["month"]
    assert ((end - start) // 86_400_000, (after - end) // 86_400_000) == days


def test_a_reset_gives_back_what_was_used_and_keeps_running_answers():
    subject = Subject((REQUESTS, DAY, ANSWERS))
    subject.ask(tokens=100, reservation_id="running")
    subject.ask(tokens=100, reservation_id="done")
    subject.settle("done", 100)
    subject.state = pure.reset(subject.state, subject.now, "requests_day")
    assert subject.used() == {"requests_day": 0, "tokens_day": 100, "answers": 1}
    subject.state = pure.reset(subject.state, subject.now, None)
    assert subject.used() == {"requests_day": 0, "tokens_day": 0, "answers": 1}
    subject.settle("running", 70)
    assert subject.used() == {"requests_day": 0, "tokens_day": 70, "answers": 0}


def test_hammering_leaves_one_line_in_the_log_of_refusals():
    subject = Subject((replace(WINDOW, limit=1),))
    for _ in range(50):
        subject.ask()
        subject.now += 100
    (entry,) = recorded(subject.state)
    assert entry.times == 49
    assert entry.last - entry.first == 4_800
