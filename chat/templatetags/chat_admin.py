"""The summary of today's usage on the admin's front page."""

from __future__ import annotations

from typing import Any

from django import template

from chat.admin.health.views import summary
from chat.infra import formatting
from chat.models import Message
from chat.usage import reports
from chat.usage.reports import DateRange

register = template.Library()


@register.inclusion_tag("admin/chat/_glance.html")
def todays_usage() -> dict[str, Any]:
    """Today's spend and answers, the running answers, and the state of the site. For those who may see usage."""
    today = reports.total(DateRange.last_days(1))
    level, problems = summary()
    return {
        "cost": formatting.dollars(today.cost),
        "requests": formatting.number(today.requests),
        "people": today.people,
        "running": Message.objects.running().count(),
        "level": level,
        "problems": problems,
    }
