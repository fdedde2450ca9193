from __future__ import annotations

import asyncio
import datetime as dt
from argparse import ArgumentTypeError
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from chat import providers
from chat.management.command import Command as BaseCommand
from chat.management.command import add_format, midnight
from chat.models import ChatModel, ModelPrice
from chat.usage import prices

MOST = Decimal(1_000_000)
COLUMNS = ("name", "label", "enabled", "default", "groups", "context_window", "max_output", "prompt", "cached")


def dollars(text: str) -> int:
    """Dollars per million tokens to micro-dollars per million tokens."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not an amount such as 0.15") from None
    if not amount.is_finite() or not 0 <= amount <= MOST or amount * 1_000_000 % 1:
        raise ArgumentTypeError(f"{text!r} must lie between 0 and {MOST:,}, with at most six decimals")
    return int(amount * 1_000_000)


class Command(BaseCommand):
    help = "The models people may pick, and their prices."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_format(verbs.add_parser("list", help="all models with their present prices in dollars per million tokens"))
        sync = verbs.add_parser("sync", help="read the provider's list; new models come in disabled")
        sync.add_argument("--enable", action="store_true", help="enable what is new")
        add_format(sync)
        for name, what in (("enable", "let people pick"), ("disable", "stop offering"), ("default", "offer first")):
            verbs.add_parser(name, help=f"{what} a model").add_argument("name")
        price = verbs.add_parser("price", help="set a price in dollars per million tokens; 0 is free")
        price.add_argument("name")
        price.add_argument("--prompt", type=dollars, required=True)
        price.add_argument("--completion", type=dollars, required=True)
        price.add_argument("--cached", type=dollars, help="cached prompt tokens; default: as other prompt tokens")
        price.add_argument("--from", dest="valid_from", type=midnight, help="from the midnight of a day; default: now")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['verb']}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        now = timezone.now()
        valid = {price.model_id: price for price in ModelPrice.objects.valid_at(now)}
        models = ChatModel.objects.prefetch_related("groups")
        rows = [_row(model, valid.get(model.pk)) for model in models]
        self.print_rows(rows, (*COLUMNS, "completion"), options["format"])
        for sentence in prices.notices():
            self.stderr.write(sentence)

    def _sync(self, options: dict[str, Any]) -> None:
        offered = asyncio.run(_offered())
        known = set(ChatModel.objects.values_list("name", flat=True))
        new = [name for name in offered if name not in known and len(name) <= 128]
        ChatModel.objects.bulk_create(
            [ChatModel(name=name, enabled=options["enable"]) for name in new], ignore_conflicts=True
        )
        states = dict.fromkeys(known, "not offered") | dict.fromkeys(known & set(offered), "known")
        states |= dict.fromkeys(new, "new")
        rows = [{"name": name, "state": states[name]} for name in sorted(states)]
        self.print_rows(rows, ("name", "state"), options["format"])

    def _enable(self, options: dict[str, Any], enabled: bool = True) -> None:
        model = _model(options["name"])
        model.enabled = enabled
        model.save(update_fields=("enabled",))
        self.stdout.write(f"{model.name} is {'enabled' if enabled else 'disabled'}.")

    def _disable(self, options: dict[str, Any]) -> None:
        self._enable(options, enabled=False)

    def _default(self, options: dict[str, Any]) -> None:
        model = _model(options["name"])
        if not model.enabled:
            raise CommandError(f"{model.name} is disabled; enable it first.")
        with transaction.atomic():
            ChatModel.objects.filter(is_default=True).update(is_default=False)
            ChatModel.objects.filter(pk=model.pk).update(is_default=True)
        self.stdout.write(f"{model.name} is the default.")

    def _price(self, options: dict[str, Any]) -> None:
        model = _model(options["name"])
        begins: dt.datetime = options["valid_from"] or timezone.now()
        amounts = {name: options[name] for name in ("prompt", "cached", "completion")}
        price, _new = ModelPrice.objects.update_or_create(model=model, valid_from=begins, defaults=amounts)
        since = timezone.localtime(begins).strftime("%Y-%m-%d %H:%M %Z")
        self.stdout.write(f"{model.name} costs {price}, from {since} on. What was booked stays as it is.")


def _model(name: str) -> ChatModel:
    model = ChatModel.objects.filter(name=name).first() if "\0" not in name else None
    if model is None:
        raise CommandError(f"There is no model {name!r}.")
    return model


def _row(model: ChatModel, price: ModelPrice | None) -> dict[str, Any]:
    def per_million(name: str) -> float | None:
        amount = getattr(price, name) if price else None
        return None if amount is None else amount / 1_000_000

    return {
        "name": model.name,
        "label": model.label,
        "enabled": model.enabled,
        "default": model.is_default,
        "groups": ", ".join(sorted(group.name for group in model.groups.all())),
        "context_window": model.context_window,
        "max_output": model.max_output,
        **{name: per_million(name) for name in ("prompt", "cached", "completion")},
    }


async def _offered() -> list[str]:
    try:
        return await providers.list_models()
    finally:
        await providers.close()
