"""The JSON API: `/api/chat`, `/api/completion`, a chat's stream and stop, and their description.

`bodies` parses what clients post, `views` answers, `openapi` and `docs` describe. May import: streaming and everything
below it; nothing of web.
"""
