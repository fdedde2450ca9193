"""Turn text into safe HTML, whole or while it grows.

Everything that users and models write is shown through this package:

- `render`: a whole text, as HTML
- `LiveMarkdown`: a growing text, as finished elements and a tail that still changes
- `render_plain`: text without Markdown, as HTML
- `excerpt`: Markdown as one line of text, which is not HTML
- `Html`: the type of safe markup; templates do not escape it again

All HTML passes the sanitiser (`sanitise`). May import `chat.text` only.
"""

from __future__ import annotations

from chat.markdown.document import render
from chat.markdown.live import LiveMarkdown
from chat.markdown.plaintext import excerpt, render_plain
from chat.markdown.sanitise import Html

__all__ = ["Html", "LiveMarkdown", "excerpt", "render", "render_plain"]
