"""The model provider: any server that speaks Chat Completions.

A request goes out in `completion`, over a client from `client`; `reading` turns the
bytes that come back into events, `refusals` turns failures into our errors.
Nothing outside this package and `chat.demo` knows the openai package.
"""

from chat.upstream.catalogue import list_models
from chat.upstream.client import close, is_demo
from chat.upstream.completion import stream_completion
from chat.upstream.faults import Fault, recent_faults
from chat.upstream.request import CompletionRequest, Turn

__all__ = [
    "CompletionRequest",
    "Fault",
    "Turn",
    "close",
    "is_demo",
    "list_models",
    "recent_faults",
    "stream_completion",
]
