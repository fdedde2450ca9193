from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from chat import errors
from chat.limits import limiter, plans
from chat.models import LimitOverride, User
from chat.models.access import LIMIT_NAMES


class Command(BaseCommand):
    help = "Shows, resets, sets and explains the limits of one person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        show = verbs.add_parser("show", help="what is used and left, and what runs")
        show.add_argument("username")
        reset = verbs.add_parser("reset", help="give back what was used")
        reset.add_argument("username")
        reset.add_argument("--rule", choices=LIMIT_NAMES)
        change = verbs.add_parser("set", help="override one limit of the plan")
        change.add_argument("username")
        change.add_argument("rule", choices=LIMIT_NAMES)
        change.add_argument("value", help="a number, 0 to block, 'unlimited', or 'plan' to end the override")
        change.add_argument("--reason", default="")
        change.add_argument("--until", help="a time such as 2027-01-31T18:00")
        explain = verbs.add_parser("explain", help="why was this person refused")
        explain.add_argument("username")
        explain.add_argument("--at", help="a time; default: all recent refusals")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        try:
            getattr(self, f"_{options['verb']}")(user, options)
        except errors.LimiterDown as error:
            raise CommandError(error.message) from None

    def _show(self, user: User, options: dict[str, Any]) -> None:
        subject = plans.subject_of(user)
        for state in limiter.peek_sync(subject, plans.rules_for(user)):
            self.stdout.write(
                f"{state.rule.name:<22} limit {state.limit:>12,}  used {state.used:>12,}  held {state.held:>10,}  "
                f"remaining {state.remaining:>12,}  resets in {state.resets_in} s"
            )
        for lease in limiter.leases_sync(subject):
            self.stdout.write(f"running {lease.lease_id} since {lease.started:%H:%M:%S}, {lease.tokens_so_far} tokens")

    def _reset(self, user: User, options: dict[str, Any]) -> None:
        limiter.reset_sync(plans.subject_of(user), options["rule"])
        self.stdout.write(f"{options['rule'] or 'All limits'} of {user.get_username()} reset.")

    def _set(self, user: User, options: dict[str, Any]) -> None:
        rule, value = options["rule"], options["value"]
        if value == "plan":
            LimitOverride.objects.filter(user=user, rule=rule).delete()
            self.stdout.write(f"{user.get_username()}: {rule} as the plan says.")
            return
        LimitOverride.objects.update_or_create(
            user=user,
            rule=rule,
            defaults={
                "value": _limit(value),
                "reason": options["reason"] or "Set on the command line.",
                "expires_at": _moment(options["until"]),
            },
        )
        self.stdout.write(f"{user.get_username()}: {rule} is {value}.")

    def _explain(self, user: User, options: dict[str, Any]) -> None:
        at = _moment(options["at"])
        found = [
            refusal
            for refusal in limiter.refusals_sync(plans.subject_of(user))
            if at is None or refusal.first <= at <= refusal.last
        ]
        if not found:
            self.stdout.write("No refusal is on record for that time. Older ones are only counted, see `usage`.")
        for refusal in found:
            rules = ", ".join(
                f"{name} ({'waiting does not help' if wait is None else f'free again after {wait} s'})"
                for name, wait in refusal.waits.items()
            )
            times = f", {refusal.times} times" if refusal.times > 1 else ""
            self.stdout.write(f"{timezone.localtime(refusal.last):%Y-%m-%d %H:%M:%S}{times}: {rules}")


def _limit(value: str) -> int | None:
    if value == "unlimited":
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise CommandError("The value is a number, 0, 'unlimited' or 'plan'.")
    return int(value)


def _moment(text: str | None) -> Any:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"{text!r} is not a time such as 2027-01-31T18:00.")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
