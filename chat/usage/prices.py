"""What a model costs, and what an admin should know about it."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone
from django.utils.translation import gettext as _

from chat import providers
from chat.models import ChatModel, ModelPrice

FREE = ModelPrice(prompt=0, cached=0, completion=0)


def at(model: str, moment: dt.datetime) -> ModelPrice | None:
    """What a model costs at a moment; None where no price is known at all."""
    return FREE if providers.is_demo() else ModelPrice.objects.get_effective(model, moment)


def notices() -> list[str]:
    """A sentence for each model without a price of its own, or one for all; at most two queries.

    The demo model is free and needs none.
    """
    if providers.is_demo():
        return []
    now = timezone.now()
    dearest = ModelPrice.objects.valid_at(now).select_related("model").order_by("-completion", "-prompt", "pk").first()
    if dearest is None:
        return [_("No price is known for any model: costs are not counted, and cost limits bind nobody.")]
    return [
        _("No price is known for %(model)s: it counts as %(dearest)s, the dearest.")
        % {"model": model.name, "dearest": dearest.model.name}
        for model in ChatModel.objects.without_price(now)
    ]
