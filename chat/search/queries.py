"""Search queries: FTS5 on SQLite, a GIN index on PostgreSQL.

The index stores the user of an entry as one more word, and a query requires that word too. The cost of a search
therefore grows with what one user wrote, not with the size of the site. Words match as a whole; the last word of
a query also matches as a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db import connection

from chat.models import SearchEntry, User

MAX_QUERY_CHARS = 200
MAX_WORDS = 12
MIN_PREFIX_CHARS = 3
"""A shorter prefix would match too many words of the index."""

# CROSS JOIN fixes the order of the joins: the index is read from its newest entry until the limit is reached.
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


def query_words(query: str) -> list[str]:
    """The words of a query: runs of letters and digits. All other characters separate words."""
    return _WORD.findall(query[:MAX_QUERY_CHARS])[:MAX_WORDS]


def find(user: User, query: str, *, offset: int = 0, limit: int = 20) -> list[SearchEntry]:
    """The newest matches, with their `conversation` and `message`. Empty if the query contains no word."""
    words = query_words(query)
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
    # Checked here and not in SQL: without statistics, the database would read all conversations of the user instead.
    return [entry for entry in found if entry.conversation.user_id == user.pk and not entry.conversation.deleted_at]


def _is_prefix_search(words: Sequence[str]) -> bool:
    return len(words[-1]) >= MIN_PREFIX_CHARS


def _fts_query(user: User, words: Sequence[str]) -> str:
    terms = [f'"{word}"' for word in words]
    return f'owner : "u{user.pk}" AND body : ({" ".join(terms)}{" *" if _is_prefix_search(words) else ""})'


def _tsquery(words: Sequence[str]) -> str:
    return " & ".join(f"'{word}'" for word in words) + (":*" if _is_prefix_search(words) else "")
