from __future__ import annotations

import datetime as dt
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from chat.limits import limiter, plans
from chat.limits.limiter import PastRefusal
from chat.limits.messages import describe
from chat.limits.status import limit_states, present
from chat.limits.values import MAX_AMOUNT
from chat.management.command import BaseCommand, add_format
from chat.models import LIMIT_NAMES, LimitOverride, User

NEAR = dt.timedelta(minutes=1)
LIMIT_COLUMNS = ("limit_name", "limit", "used", "held", "remaining", "resets_in")
RESERVATION_COLUMNS = ("answer", "started", "tokens", "held_tokens")
REFUSAL_COLUMNS = ("first", "last", "times", "limit_name", "limit", "wait")


class Command(BaseCommand):
    help = (
        "Show, reset, set and explain the limits of one user. Costs are in micro-dollars, waits and resets in "
        "seconds. Without REDIS_URL each server process counts in its own memory, which only the admin's pages show."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        show = verbs.add_parser("show", help="what is used, reserved and left, and the running answers")
        show.add_argument("username")
        add_format(show)
        reset = verbs.add_parser("reset", help="forget what was used")
        reset.add_argument("username")
        reset.add_argument("--rule", choices=LIMIT_NAMES, help="only this limit")
        change = verbs.add_parser("set", help="override one limit of the plan")
        change.add_argument("username")
        change.add_argument("rule", choices=LIMIT_NAMES)
        change.add_argument("value", help="a number, 0 to block, 'unlimited', or 'plan' to end the override")
        change.add_argument("--reason", default="Set on the command line.")
        change.add_argument("--until", type=_moment, help="a time such as 2027-01-31T18:00")
        explain = verbs.add_parser("explain", help="why this user was refused")
        explain.add_argument("username")
        explain.add_argument("--at", type=_moment, help="only refusals within a minute of this time")
        add_format(explain)

    def handle(self, *args: Any, **options: Any) -> None:
        user = self.get_user(options["username"])
        verbs: Mapping[str, Callable[..., None]] = {
            "show": self._show,
            "reset": self._reset,
            "set": self._set,
            "explain": self._explain,
        }
        verbs[options["verb"]](user, options)

    def _show(self, user: User, options: dict[str, Any]) -> None:
        form = options["format"]
        rows = [
            {
                "limit_name": status.name,
                "limit": status.rule.limit,
                "used": status.used,
                "held": status.reserved,
                "remaining": status.remaining,
                "resets_in": status.resets_in,
            }
            for status in present(limit_states(user), tightest_first=False)
        ]
        self.print_rows(rows, LIMIT_COLUMNS, form)
        reservations = limiter.current().reservations_sync(plans.subject_of(user))
        if form == "table" and reservations:
            self.stdout.write("")
            running = [
                {
                    "answer": each.reservation_id,
                    "started": _local(each.started),
                    "tokens": each.tokens_so_far,
                    "held_tokens": each.tokens,
                }
                for each in reservations
            ]
            self.print_rows(running, RESERVATION_COLUMNS, form)
        self._note_if_not_shared()

    def _reset(self, user: User, options: dict[str, Any]) -> None:
        limiter.current().reset_sync(plans.subject_of(user), options["rule"])
        self.stdout.write(f"{options['rule'] or 'All limits'} of {user.get_username()} reset.")
        self._note_if_not_shared()

    def _set(self, user: User, options: dict[str, Any]) -> None:
        rule, value, until = options["rule"], options["value"], options["until"]
        if value == "plan":
            LimitOverride.objects.filter(user=user, rule=rule).delete()
            self.stdout.write(f"{user.get_username()}: {rule} as the plan says.")
            return
        if until and until <= timezone.now():
            raise CommandError(f"{_local(until)} is in the past.")
        LimitOverride.objects.update_or_create(
            user=user,
            rule=rule,
            defaults={"value": _limit(value), "reason": options["reason"][:200], "expires_at": until},
        )
        end = f" until {_local(until)}" if until else ""
        self.stdout.write(f"{user.get_username()}: {rule} is {value}{end}.")

    def _explain(self, user: User, options: dict[str, Any]) -> None:
        at, form = options["at"], options["format"]
        kept = limiter.current().refusals_sync(plans.subject_of(user))
        found = [each for each in kept if at is None or each.first - NEAR <= at <= each.last + NEAR]
        words = {rule.name: describe(rule) for rule in plans.rules_for(user)}
        self.print_rows([row for each in found for row in _refused(each, words)], REFUSAL_COLUMNS, form)
        if kept and not found:
            self.stderr.write(f"The {len(kept)} refusals on record end at {_local(kept[0].last)}.")
        self._note_if_not_shared()

    def _note_if_not_shared(self) -> None:
        if not limiter.current().is_shared:
            self.stderr.write("REDIS_URL is not set: what server processes count in their own memory is not included.")


def _refused(refusal: PastRefusal, words: Mapping[str, str]) -> list[dict[str, Any]]:
    """`wait` is in seconds, None where waiting would not have helped; `limit` is the present limit."""
    return [
        {
            "first": _local(refusal.first),
            "last": _local(refusal.last),
            "times": refusal.times,
            "limit_name": name,
            "limit": words.get(name),
            "wait": wait,
        }
        for name, wait in refusal.waits.items()
    ]


def _local(moment: dt.datetime) -> str:
    return timezone.localtime(moment).isoformat(" ", "seconds")


def _limit(value: str) -> int | None:
    if value == "unlimited":
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise CommandError(f"The value is a number up to {MAX_AMOUNT:,}, 'unlimited' or 'plan'.")
    return int(value)


def _moment(text: str) -> dt.datetime:
    try:
        moment = parse_datetime(text)
        if moment is not None:
            return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    except (ValueError, OverflowError):
        pass
    raise ArgumentTypeError(f"{text!r} is not a time such as 2027-01-31T18:00")
