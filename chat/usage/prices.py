"""The price of a model, and which models have none."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django.utils.translation import gettext as _

from chat import providers
from chat.models import ChatModel, ModelPrice

FREE = ModelPrice(prompt=0, cached=0, completion=0)


def at(model: str, moment: dt.datetime) -> ModelPrice | None:
    """The price of a model at a moment, in micro-dollars per million tokens. None where no model has a price.

    The demo model is free. A model without a price of its own gets the highest known one.
    """
    return FREE if providers.is_demo() else ModelPrice.objects.get_effective(model, moment)


def missing_price_warnings() -> list[str]:
    """A sentence for each enabled model without a price, or one for all where no price is known.

    At most two queries. Empty for the demo model, which is free.
    """
    if providers.is_demo():
        return []
    now = timezone.now()
    highest = ModelPrice.objects.valid_at(now).select_related("model").order_by("-completion", "-prompt", "pk").first()
    if highest is None:
        return [_("No price is known for any model: costs are not counted and cost limits do not apply.")]
    return [
        _("No price is known for %(model)s: its costs are counted at the price of %(highest)s, the highest.")
        % {"model": model.name, "highest": highest.model.name}
        for model in ChatModel.objects.without_price(now)
    ]
