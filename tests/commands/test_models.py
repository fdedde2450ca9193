"""`manage.py models`: the catalogue of models and their prices."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from chat.models import ChatModel, ModelPrice
from tests.commands.terminal import Terminal
from tests.fakes import FakeProvider, error


def test_the_list_shows_the_current_price_and_not_a_future_one(manage: Terminal, gpt_4o: ChatModel) -> None:
    assert manage("models", "price", "gpt-4o", "--prompt", "0.15", "--completion", "0.6")[0] == 0
    assert manage("models", "price", "gpt-4o", "--prompt", "9", "--completion", "9", "--from", "2999-01-01")[0] == 0
    _code, out, _err = manage("models", "list", "--format", "json")
    (row,) = [row for row in json.loads(out) if row["name"] == "gpt-4o"]
    assert (row["prompt"], row["cached"], row["completion"], row["enabled"]) == (0.15, None, 0.6, False)


def test_a_price_starts_at_midnight_in_the_zone_of_the_site(manage: Terminal, gpt_4o: ChatModel, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    manage("models", "price", "gpt-4o", "--prompt", "1", "--cached", "0", "--completion", "2", "--from", "2031-05-02")
    price = ModelPrice.objects.get(prompt=1_000_000)
    assert price.valid_from == dt.datetime(2031, 5, 1, 15, tzinfo=dt.UTC)
    assert (price.cached, price.completion) == (0, 2_000_000)


def test_a_price_from_the_same_day_replaces_the_first(manage: Terminal, gpt_4o: ChatModel) -> None:
    for amount in ("1", "3"):
        manage("models", "price", "gpt-4o", "--prompt", amount, "--completion", "2", "--from", "2031-05-02")
    assert ModelPrice.objects.get(valid_from__year=2031).prompt == 3_000_000


def test_models_are_enabled_and_disabled(manage: Terminal, gpt_4o: ChatModel) -> None:
    assert manage("models", "enable", "gpt-4o")[0] == 0
    assert ChatModel.objects.get().enabled
    assert manage("models", "disable", "gpt-4o")[0] == 0
    assert not ChatModel.objects.get().enabled


def test_only_one_model_is_the_default(manage: Terminal, gpt_4o: ChatModel) -> None:
    ChatModel.objects.create(name="gpt-4.1")
    ChatModel.objects.filter(pk=gpt_4o.pk).update(enabled=True)
    for name in ("gpt-4o", "gpt-4.1"):
        assert manage("models", "default", name)[0] == 0
    assert [model.name for model in ChatModel.objects.filter(is_default=True)] == ["gpt-4.1"]


def test_sync_adds_the_models_of_the_provider_disabled(
    manage: Terminal, gpt_4o: ChatModel, fake_provider: FakeProvider
) -> None:
    code, _out, _err = manage("models", "sync", "--format", "json")
    assert code == 0
    assert not ChatModel.objects.get(name="fake").enabled


def test_sync_again_tells_known_models_from_those_no_longer_offered(
    manage: Terminal, gpt_4o: ChatModel, fake_provider: FakeProvider
) -> None:
    manage("models", "sync")
    states = {row["name"]: row["state"] for row in json.loads(manage("models", "sync", "--format", "json")[1])}
    assert (states["fake"], states["gpt-4o"]) == ("known", "not offered")


def test_the_list_warns_of_an_enabled_model_without_a_price(
    manage: Terminal, gpt_4o: ChatModel, fake_provider: FakeProvider
) -> None:
    manage("models", "sync")
    assert "No price is known" not in manage("models", "list")[2], "a disabled model needs no price"
    manage("models", "enable", "fake")
    warning = "No price is known for fake: its costs are counted at the price of gpt-4o, the highest."
    assert warning in manage("models", "list")[2]


def test_sync_says_in_one_line_that_the_provider_rejected_the_key(
    manage: Terminal, fake_provider: FakeProvider
) -> None:
    fake_provider.always(error(401, code="invalid_api_key"))
    code, out, err = manage("models", "sync")
    assert (code, out) == (1, "")
    assert err.startswith("CommandError: The service is not set up correctly.")
