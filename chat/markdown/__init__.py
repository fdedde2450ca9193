"""Text to safe HTML, whole or as it grows.

Everything a person or a model wrote is shown through this package. The result
of every public function is `Html`, which templates do not escape again.
"""

from __future__ import annotations

from chat.markdown.document import render
from chat.markdown.live import LiveMarkdown
from chat.markdown.plaintext import plain, render_plain
from chat.markdown.sanitise import Html

__all__ = ["Html", "LiveMarkdown", "plain", "render", "render_plain"]
