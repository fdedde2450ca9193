"""What the admin's front page shows of the site."""

from __future__ import annotations

from typing import Any

from django import template

from chat.admin.health import views as health
from chat.models import Message
from chat.usage import formatting as words
from chat.usage import reports
from chat.usage.reports import Span

register = template.Library()


@register.inclusion_tag("admin/chat/_glance.html")
def glance() -> dict[str, Any]:
    """Today in four numbers; for those who may see usage."""
    today = reports.total(Span.last_days(1))
    level, count = health.summary()
    return {
        "cost": words.dollars(today.cost),
        "requests": words.count(today.requests),
        "people": today.people,
        "running": Message.objects.running().count(),
        "level": level,
        "notices": count,
    }
