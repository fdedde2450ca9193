"""The search page: a user's own conversations."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from chat.accounts.http import AuthenticatedHttpRequest
from chat.markdown import excerpt
from chat.models import Message, MessageTree, SearchEntry
from chat.search import queries
from chat.web.decorators import is_htmx, login_required

PAGE_SIZE = 20
MAX_PAGES = 50
EXCERPT_LENGTH = 240
EXCERPT_LEAD = 70
"""Characters of an excerpt before the first match."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A message that matches; `shown` where it is on its conversation's active branch."""

    id: str
    role: str
    excerpt: SafeString
    shown: bool
    entry: SearchEntry


@dataclass(frozen=True, kw_only=True)
class Result:
    """Matches in one conversation; no hits where only its title matches."""

    id: str
    title: SafeString
    entry: SearchEntry
    hits: Sequence[Hit]


@require_GET
@login_required
def search(request: AuthenticatedHttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").replace("\x00", " ")[: queries.MAX_QUERY_CHARS]
    page = _page(request.GET.get("page", ""))
    found = queries.find(request.user, query, offset=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE + 1)
    context = {
        "query": query,
        "words": queries.query_words(query),
        "results": _results(found[:PAGE_SIZE], query),
        "page": page,
        "next_page": page + 1 if len(found) > PAGE_SIZE and page < MAX_PAGES else None,
    }
    return render(request, "chat/_results.html" if is_htmx(request) else "chat/search.html", context)


def _page(given: str) -> int:
    return min(max(int(given), 1), MAX_PAGES) if given.isascii() and given.isdecimal() and len(given) < 9 else 1


def _results(entries: Sequence[SearchEntry], query: str) -> list[Result]:
    """In the order of the entries; neighbours of one conversation become one result."""
    mark = Marker(queries.query_words(query))
    shown = _on_active_branches(entries)
    results = []
    for conversation, group in groupby(entries, key=lambda entry: entry.conversation):
        together = list(group)
        hits = [
            Hit(
                id=str(message.pk),
                role=message.role,
                excerpt=mark.excerpt(message.content),
                shown=message.pk in shown,
                entry=entry,
            )
            for entry in together
            if (message := entry.message) is not None
        ]
        title = mark.whole(conversation.title or "…")
        results.append(Result(id=str(conversation.pk), title=title, entry=together[0], hits=hits))
    return results


def _on_active_branches(entries: Iterable[SearchEntry]) -> set[uuid.UUID]:
    heads = {entry.conversation_id: entry.conversation.head_id for entry in entries if entry.message_id}
    rows = Message.objects.filter(conversation__in=heads).order_by("created_at", "pk")
    by_conversation: dict[uuid.UUID, list[tuple[uuid.UUID, uuid.UUID | None]]] = {}
    for conversation_id, message_id, parent_id in rows.values_list("conversation_id", "pk", "parent_id"):
        by_conversation.setdefault(conversation_id, []).append((message_id, parent_id))
    return {
        message_id
        for conversation_id, tree in by_conversation.items()
        for message_id in MessageTree(tree).path_to(heads[conversation_id])
    }


class _Fold(dict[int, int]):
    """Letters without case and accents, one for one, so that positions in the text stay the same."""

    def __missing__(self, code: int) -> int:
        base = unicodedata.normalize("NFKD", chr(code))[:1].lower()
        self[code] = ord(base) if len(base) == 1 else code
        return self[code]


FOLD = _Fold()
"""A cache of single letters; bounded by the number of characters in Unicode."""


class Marker:
    """Marks the words of a query in untrusted text."""

    def __init__(self, words: Sequence[str]) -> None:
        folded = [re.escape(word.translate(FOLD)) for word in words]
        tail = r"\w*" if words and len(words[-1]) >= queries.MIN_PREFIX_CHARS else ""
        whole = "|".join([*folded[:-1], *(f"{last}{tail}" for last in folded[-1:])])
        self.pattern = re.compile(rf"(?<![^\W_])(?:{whole})(?![^\W_])") if folded else re.compile(r"(?!)")

    def excerpt(self, text: str) -> SafeString:
        """One line around the first match, without its Markdown."""
        first = self.pattern.search(text.translate(FOLD))
        begin = max(0, first.start() - EXCERPT_LEAD) if first else 0
        return format_html("{}{}", "…" if begin else "", self.whole(excerpt(text[begin:], EXCERPT_LENGTH)))

    def whole(self, text: str) -> SafeString:
        return format_html_join("", "{}{}", self._pieces(text))

    def _pieces(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        for match in self.pattern.finditer(text.translate(FOLD)):
            yield text[at : match.start()], format_html("<mark>{}</mark>", text[match.start() : match.end()])
            at = match.end()
        yield text[at:], ""
