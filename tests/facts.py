"""What a site shows of its data, in a form that does not depend on wording: for dumps and for tests that load them."""

from __future__ import annotations

import json
import re
from typing import Any

from tests import contract
from tests.site import Person, Site

Facts = dict[str, Any]


def conversation_of(person: Person, chat: str) -> Facts:
    """Everything of one conversation as its export has it, and its articles as the page shows them."""
    page = person.http.get(f"/c/{chat}/").text
    return {
        "export": person.http.get(f"/c/{chat}/export/?format=json").json(),
        "articles": contract.ids_of_articles(page),
        "statuses": re.findall(r'<article [^>]*data-status="(\w+)"', page),
    }


def ids_found(person: Person, query: str) -> list[str]:
    """The conversations and messages that a search finds, in no order."""
    found = person.http.get("/search/", params={"q": query}, headers={"HX-Request": "true"}).text
    return sorted(set(contract.UUID.findall(found)))


def printed(site: Site, *lines: str, form: str = "json") -> list[Any]:
    """What management commands print in a format, all run by one process; JSON as its values."""
    texts = json.loads(site.shell(_CALL.format(lines=lines, form=form)))
    return [json.loads(text) for text in texts] if form == "json" else texts


_CALL = """
import io, json
from django.core.management import call_command
printed = []
for line in {lines!r}:
    out = io.StringIO()
    call_command(*line.split(), "--format", {form!r}, stdout=out, stderr=io.StringIO())
    printed.append(out.getvalue())
print(json.dumps(printed))
"""


def limits(site: Site, *names: str) -> Facts:
    """The number of each limit that binds each of these people."""
    rows = printed(site, *(f"limits show {name}" for name in names))
    return {name: {row["limit_name"]: row["limit"] for row in each} for name, each in zip(names, rows, strict=True)}


def usage_days(site: Site) -> tuple[str, str]:
    """The first and the last day that has usage."""
    (rows,) = printed(site, "usage --by day")
    days = [row["key"] for row in rows]
    return min(days), max(days)


def usage(site: Site, since: str, until: str) -> Facts:
    """The usage of a span of days by user, by model and by day."""
    dimensions = ("user", "model", "day")
    rows = printed(site, *(f"usage --since {since} --until {until} --by {each}" for each in dimensions))
    return {"since": since, "until": until, "rows": dict(zip(dimensions, rows, strict=True))}
