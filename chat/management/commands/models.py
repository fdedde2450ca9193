from __future__ import annotations

import asyncio
import datetime as dt
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from chat import providers
from chat.management.command import BaseCommand, add_format, midnight
from chat.models import ChatModel, ModelPrice
from chat.usage import prices

MAX_PRICE = Decimal(1_000_000)
MAX_NAME = 128
PRICES = ("prompt", "cached", "completion")
COLUMNS = ("name", "label", "enabled", "default", "groups", "context_window", "max_output", *PRICES)


def micro_dollars(text: str) -> int:
    """A price in dollars as an argument, converted to micro-dollars. Raises `ArgumentTypeError`."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not an amount such as 0.15") from None
    if not amount.is_finite() or not 0 <= amount <= MAX_PRICE or amount * 1_000_000 % 1:
        raise ArgumentTypeError(f"{text!r} must lie between 0 and {MAX_PRICE:,}, with at most six decimals")
    return int(amount * 1_000_000)


class Command(BaseCommand):
    help = "Lists, enables and disables the models that people may choose, and sets their prices."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_format(verbs.add_parser("list", help="all models with their current prices in dollars per million tokens"))
        sync = verbs.add_parser("sync", help="add the models that the provider offers; they are disabled")
        sync.add_argument("--enable", action="store_true", help="enable the new models")
        add_format(sync)
        for name, text in (
            ("enable", "let people choose a model"),
            ("disable", "no longer let people choose a model"),
            ("default", "preselect a model"),
        ):
            verbs.add_parser(name, help=text).add_argument("name")
        price = verbs.add_parser("price", help="set a price in dollars per million tokens; 0 is free")
        price.add_argument("name")
        price.add_argument("--prompt", type=micro_dollars, required=True)
        price.add_argument("--completion", type=micro_dollars, required=True)
        price.add_argument("--cached", type=micro_dollars, help="cached prompt tokens; default: as other prompt tokens")
        price.add_argument(
            "--from", dest="valid_from", type=midnight, help="first day of the price, from midnight; default: now"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        verbs: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "list": self._list,
            "sync": self._sync,
            "enable": lambda options: self._set_enabled(options["name"], True),
            "disable": lambda options: self._set_enabled(options["name"], False),
            "default": self._set_default,
            "price": self._set_price,
        }
        verbs[options["verb"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        current = {price.model_id: price for price in ModelPrice.objects.valid_at(timezone.now())}
        models = ChatModel.objects.prefetch_related("groups")
        self.print_rows([_row(model, current.get(model.pk)) for model in models], COLUMNS, options["format"])
        for sentence in prices.missing_price_warnings():
            self.stderr.write(sentence)

    def _sync(self, options: dict[str, Any]) -> None:
        offered = asyncio.run(_list_offered())
        known = set(ChatModel.objects.values_list("name", flat=True))
        new = [name for name in offered if name not in known and len(name) <= MAX_NAME]
        ChatModel.objects.bulk_create(
            [ChatModel(name=name, enabled=options["enable"]) for name in new], ignore_conflicts=True
        )
        states = dict.fromkeys(known, "not offered") | dict.fromkeys(known & set(offered), "known")
        states |= dict.fromkeys(new, "new")
        rows = [{"name": name, "state": states[name]} for name in sorted(states)]
        self.print_rows(rows, ("name", "state"), options["format"])

    def _set_enabled(self, name: str, enabled: bool) -> None:
        model = _get_model(name)
        model.enabled = enabled
        model.save(update_fields=("enabled",))
        self.stdout.write(f"{model.name} is {'enabled' if enabled else 'disabled'}.")

    def _set_default(self, options: dict[str, Any]) -> None:
        model = _get_model(options["name"])
        if not model.enabled:
            raise CommandError(f"{model.name} is disabled; enable it first.")
        with transaction.atomic():
            ChatModel.objects.filter(is_default=True).update(is_default=False)
            ChatModel.objects.filter(pk=model.pk).update(is_default=True)
        self.stdout.write(f"{model.name} is the default.")

    def _set_price(self, options: dict[str, Any]) -> None:
        model = _get_model(options["name"])
        valid_from: dt.datetime = options["valid_from"] or timezone.now()
        amounts = {name: options[name] for name in PRICES}
        price, _created = ModelPrice.objects.update_or_create(model=model, valid_from=valid_from, defaults=amounts)
        start = timezone.localtime(valid_from).strftime("%Y-%m-%d %H:%M %Z")
        self.stdout.write(f"{model.name} costs {price}, from {start} on. Recorded costs do not change.")


def _get_model(name: str) -> ChatModel:
    model = ChatModel.objects.filter(name=name).first() if "\0" not in name else None
    if model is None:
        raise CommandError(f"There is no model {name!r}.")
    return model


def _row(model: ChatModel, price: ModelPrice | None) -> dict[str, Any]:
    def price_in_dollars(name: str) -> float | None:
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
        **{name: price_in_dollars(name) for name in PRICES},
    }


async def _list_offered() -> list[str]:
    try:
        return await providers.list_models()
    finally:
        await providers.close()
