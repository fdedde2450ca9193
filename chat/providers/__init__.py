"""Requests to the model provider: any server that implements the Chat Completions API of OpenAI.

Public: `stream_completion` sends a `CompletionRequest` (a list of `Turn`s) and yields events; `list_models` names the
provider's models; `recent_errors` lists the errors of the last hour; `is_demo` tells whether the built-in demo model
answers; `close` closes the connections of the running event loop.

Modules: `client` owns the connections, `transport` and `proxies` carry the HTTP; `completion` runs one answer with
`stream_parser` (bytes to events), `timeouts` and `failures` (provider errors to ours); `rejected_fields` and
`recent_errors` hold what is remembered. Only this package imports openai, httpx2 and aiohttp, and of those only their
public API. It may import `chat.errors`, `chat.events`, `chat.text` and `chat.infra`.
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
