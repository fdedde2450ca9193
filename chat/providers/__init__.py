"""The model provider: any server that speaks Chat Completions.

A request goes out in `completion`, over a client from `client`; `reading` turns the
bytes that come back into events, `refusals` turns failures into our errors.
Nothing outside this package and `chat.providers.demo` knows the openai package.
"""

from chat.providers.catalogue import list_models
from chat.providers.client import close, is_demo
from chat.providers.completion import stream_completion
from chat.providers.recent_errors import RecentError, recent_errors
from chat.providers.request import CompletionRequest, Turn

__all__ = [
    "CompletionRequest",
    "RecentError",
    "Turn",
    "close",
    "is_demo",
    "list_models",
    "recent_errors",
    "stream_completion",
]
