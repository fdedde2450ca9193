"""Full-text search in a user's own titles and messages.

- `queries`: `find` entries of the index for a query, `query_words`
- `index`: create and fill the index and its triggers, after migrations

May import `chat.models` and everything below it.
"""
