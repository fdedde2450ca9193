"""The full-text index and the database triggers that update it.

Triggers index every message, however it is written. A running answer is indexed when it ends, not each time
its text so far is saved.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

from chat.models import SearchEntry

MAX_INDEXED_CHARS = 100_000
"""The part of a message that is indexed. PostgreSQL limits the entry of a text to 1 MB."""

PUNCTUATION = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())


def is_migrated(db: BaseDatabaseWrapper) -> bool:
    """Whether the table of index entries exists."""
    return SearchEntry._meta.db_table in db.introspection.table_names()


def drop_triggers(db: BaseDatabaseWrapper) -> None:
    """Call before migrations: SQLite cannot rebuild a table that a trigger refers to. No effect on PostgreSQL."""
    if db.vendor == "sqlite":
        with db.cursor() as cursor:
            for name in _SQLITE_TRIGGERS:
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def create_index(db: BaseDatabaseWrapper, *, fill: bool) -> None:
    """Create the index and its triggers if they do not exist. `fill`: also index rows that have no entry yet."""
    with db.cursor() as cursor:
        if db.vendor == "sqlite":
            cursor.execute(_SQLITE_INDEX)
            for name, body in _SQLITE_TRIGGERS.items():
                cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {body}")
        else:
            for statement in _POSTGRESQL_INDEX:
                cursor.execute(statement)
        if fill:
            for statement in _SQLITE_FILL if db.vendor == "sqlite" else _POSTGRESQL_FILL:
                cursor.execute(statement)


_ENDED = "{row}.status NOT IN ('pending', 'streaming') AND {row}.content <> ''"
_NEW_ENDED = _ENDED.format(row="NEW")

_SQLITE_INDEX = """
CREATE VIRTUAL TABLE IF NOT EXISTS chat_search
USING fts5(owner, body, tokenize = 'unicode61 remove_diacritics 2', prefix = '3')
"""
_SQLITE_MESSAGE = f"""
    DELETE FROM chat_searchentry WHERE message_id = NEW.id;
    INSERT INTO chat_searchentry (conversation_id, message_id)
        SELECT id, NEW.id FROM chat_conversation WHERE id = NEW.conversation_id AND NOT transient;
    INSERT INTO chat_search (rowid, owner, body)
        SELECT entry.id, 'u' || conversation.user_id, substr(NEW.content, 1, {MAX_INDEXED_CHARS})
        FROM chat_searchentry AS entry JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
        WHERE entry.message_id = NEW.id;
"""
_SQLITE_TITLE = """
    DELETE FROM chat_searchentry WHERE conversation_id = NEW.id AND message_id IS NULL;
    INSERT INTO chat_searchentry (conversation_id, message_id) VALUES (NEW.id, NULL);
    INSERT INTO chat_search (rowid, owner, body)
        SELECT id, 'u' || NEW.user_id, NEW.title FROM chat_searchentry
        WHERE conversation_id = NEW.id AND message_id IS NULL;
"""
_SQLITE_TRIGGERS = {
    "chat_search_message_added": f"AFTER INSERT ON chat_message WHEN {_NEW_ENDED} BEGIN {_SQLITE_MESSAGE} END",
    "chat_search_message_changed": (
        f"AFTER UPDATE OF status, content ON chat_message WHEN {_NEW_ENDED} BEGIN {_SQLITE_MESSAGE} END"
    ),
    "chat_search_title_added": (
        f"AFTER INSERT ON chat_conversation WHEN NEW.title <> '' AND NOT NEW.transient BEGIN {_SQLITE_TITLE} END"
    ),
    "chat_search_title_changed": (
        "AFTER UPDATE OF title ON chat_conversation WHEN NEW.title <> OLD.title AND NOT NEW.transient "
        f"BEGIN {_SQLITE_TITLE} END"
    ),
    "chat_search_entry_removed": (
        "AFTER DELETE ON chat_searchentry BEGIN DELETE FROM chat_search WHERE rowid = OLD.id; END"
    ),
}

_UNINDEXED_MESSAGES = f"""
    FROM chat_message AS message JOIN chat_conversation AS conversation ON conversation.id = message.conversation_id
    WHERE NOT conversation.transient AND {_ENDED.format(row="message")}
    AND NOT EXISTS (SELECT 1 FROM chat_searchentry AS entry WHERE entry.message_id = message.id)
    ORDER BY message.created_at
"""
_UNINDEXED_TITLES = """
    FROM chat_conversation AS conversation WHERE NOT conversation.transient AND conversation.title <> ''
    AND NOT EXISTS (SELECT 1 FROM chat_searchentry AS entry
                    WHERE entry.conversation_id = conversation.id AND entry.message_id IS NULL)
    ORDER BY conversation.updated_at
"""
_SQLITE_FILL = (
    f"INSERT INTO chat_searchentry (conversation_id, message_id) SELECT conversation.id, NULL {_UNINDEXED_TITLES}",
    f"""
    INSERT INTO chat_searchentry (conversation_id, message_id)
    SELECT conversation.id, message.id {_UNINDEXED_MESSAGES}
    """,
    f"""
    INSERT INTO chat_search (rowid, owner, body)
    SELECT entry.id, 'u' || conversation.user_id,
        coalesce(substr(message.content, 1, {MAX_INDEXED_CHARS}), conversation.title)
    FROM chat_searchentry AS entry JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
    LEFT JOIN chat_message AS message ON message.id = entry.message_id
    WHERE entry.id NOT IN (SELECT id FROM chat_search_docsize)
    """,
)

# Punctuation is replaced by spaces, because PostgreSQL's parser treats `foo.py` or `a/b` as a single word.
_QUOTED = PUNCTUATION.replace("'", "''")
_POSTGRESQL_INDEX = (
    "ALTER TABLE chat_searchentry ADD COLUMN IF NOT EXISTS document tsvector",
    "CREATE INDEX IF NOT EXISTS chat_search_document ON chat_searchentry USING gin (document)",
    # With these statistics the planner knows users who wrote little. For them it uses the index instead of reading
    # the newest entries one by one.
    "ALTER TABLE chat_searchentry ALTER COLUMN document SET STATISTICS 1000",
    f"""
    CREATE OR REPLACE FUNCTION chat_search_document(owner bigint, body text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE AS $$
        SELECT to_tsvector(
            'simple', translate(left(body, {MAX_INDEXED_CHARS}), '{_QUOTED}', '{" " * len(PUNCTUATION)}')
        )
            || array_to_tsvector(ARRAY['=u' || owner])
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION chat_search_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM chat_searchentry WHERE message_id = NEW.id;
        INSERT INTO chat_searchentry (conversation_id, message_id, document)
            SELECT id, NEW.id, chat_search_document(user_id, NEW.content)
            FROM chat_conversation WHERE id = NEW.conversation_id AND NOT transient;
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION chat_search_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM chat_searchentry WHERE conversation_id = NEW.id AND message_id IS NULL;
        INSERT INTO chat_searchentry (conversation_id, message_id, document)
            VALUES (NEW.id, NULL, chat_search_document(NEW.user_id, NEW.title));
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE OR REPLACE TRIGGER chat_search_message_added AFTER INSERT ON chat_message
    FOR EACH ROW WHEN ({_NEW_ENDED}) EXECUTE FUNCTION chat_search_message()
    """,
    f"""
    CREATE OR REPLACE TRIGGER chat_search_message_changed AFTER UPDATE OF status, content ON chat_message
    FOR EACH ROW WHEN ({_NEW_ENDED}) EXECUTE FUNCTION chat_search_message()
    """,
    """
    CREATE OR REPLACE TRIGGER chat_search_title_added AFTER INSERT ON chat_conversation
    FOR EACH ROW WHEN (NEW.title <> '' AND NOT NEW.transient) EXECUTE FUNCTION chat_search_title()
    """,
    """
    CREATE OR REPLACE TRIGGER chat_search_title_changed AFTER UPDATE OF title ON chat_conversation
    FOR EACH ROW WHEN (NEW.title <> OLD.title AND NOT NEW.transient) EXECUTE FUNCTION chat_search_title()
    """,
)
_POSTGRESQL_FILL = (
    f"""
    INSERT INTO chat_searchentry (conversation_id, message_id, document)
    SELECT conversation.id, NULL, chat_search_document(conversation.user_id, conversation.title) {_UNINDEXED_TITLES}
    """,
    f"""
    INSERT INTO chat_searchentry (conversation_id, message_id, document)
    SELECT conversation.id, message.id, chat_search_document(conversation.user_id, message.content)
    {_UNINDEXED_MESSAGES}
    """,
)
