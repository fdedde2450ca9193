"""Full-text search in a person's own titles and messages: FTS5 on SQLite, a GIN index on PostgreSQL.

Each entry of the index carries its person as one more word, which is intersected with the words
asked for: a search costs what one person wrote, not what the site holds. Words match whole, the
last one also from its beginning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import connection

from chat.models import SearchEntry, User

LONGEST_QUERY = 200
MOST_WORDS = 12
PREFIX = 3
"""A beginning shorter than this would match too much of the index."""

# The index, the first join, is walked from its newest entry until the limit is reached.
_SQLITE_FIND = """
SELECT chat_search.rowid FROM chat_search
CROSS JOIN chat_searchentry AS entry ON entry.id = chat_search.rowid
CROSS JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
WHERE chat_search MATCH %s AND conversation.deleted_at IS NULL
ORDER BY chat_search.rowid DESC LIMIT %s OFFSET %s
"""
_POSTGRESQL_FIND = """
SELECT entry.id FROM chat_searchentry AS entry
JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
CROSS JOIN to_tsquery('simple', %s) AS words
WHERE numnode(words) > 0 AND entry.document @@ (%s::tsquery && words) AND conversation.deleted_at IS NULL
ORDER BY entry.id DESC LIMIT %s OFFSET %s
"""
_WORD = re.compile(r"[^\W_]+")


def words_of(query: str) -> list[str]:
    """The words a query asks for; everything else in it separates them."""
    return _WORD.findall(query[:LONGEST_QUERY])[:MOST_WORDS]


def find(user: User, query: str, *, offset: int = 0, limit: int = 20) -> list[SearchEntry]:
    """The newest matches with their `conversation` and `message`; nothing where the query has no word."""
    words = words_of(query)
    if not words:
        return []
    if connection.vendor == "sqlite":
        sql, match = _SQLITE_FIND, [_fts_query(user, words)]
    else:
        sql, match = _POSTGRESQL_FIND, [_tsquery(words), f"'=u{user.pk}'"]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*match, limit, offset])
        ids = [row[0] for row in cursor.fetchall()]
    found = SearchEntry.objects.filter(pk__in=ids).select_related("conversation", "message").order_by("-pk")
    # Checked here: asked to, a database without statistics would go through all conversations of the person instead.
    return [entry for entry in found if entry.conversation.user_id == user.pk and not entry.conversation.deleted_at]


def _last_is_open(words: Sequence[str]) -> bool:
    return len(words[-1]) >= PREFIX


def _fts_query(user: User, words: Sequence[str]) -> str:
    terms = [f'"{word}"' for word in words]
    return f'owner : "u{user.pk}" AND body : ({" ".join(terms)}{" *" if _last_is_open(words) else ""})'


def _tsquery(words: Sequence[str]) -> str:
    return " & ".join(f"'{word}'" for word in words) + (":*" if _last_is_open(words) else "")
