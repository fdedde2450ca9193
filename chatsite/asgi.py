"""The ASGI application of the site: `chatsite.asgi:application`."""

from __future__ import annotations

import contextlib
import gc
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.db import DatabaseError  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from chat import providers  # noqa: E402
from chat.answers.runner import current_runner, save_all  # noqa: E402
from chat.streaming.responses import IncompleteAnswer  # noqa: E402
from chat.web.consumers import PageConsumer  # noqa: E402
from chatsite.server.body_limit import RequestBodyLimit  # noqa: E402
from chatsite.server.broken_responses import AbortBrokenResponses  # noqa: E402
from chatsite.server.daphne_body_limit import limit_daphne_request_bodies  # noqa: E402
from chatsite.server.handler import RequestHandler  # noqa: E402
from chatsite.server.shutdown import GracefulShutdown  # noqa: E402
from chatsite.server.websockets import WebSocketRoute  # noqa: E402

ANSWERS_TIMEOUT = 5
"""Seconds at shutdown for running answers to be saved."""


def start_answers() -> None:
    """Start the runner's heartbeat and recovery, on the running event loop."""
    current_runner().start_background()


async def stop_answers() -> None:
    await current_runner().drain(ANSWERS_TIMEOUT)


def save_answers_at_exit() -> None:
    with contextlib.suppress(DatabaseError):  # the next start recovers them from their checkpoints
        save_all()


limit_daphne_request_bodies()
router = ProtocolTypeRouter(
    {"http": RequestHandler(), "websocket": WebSocketRoute("/ws/", PageConsumer.as_asgi())},
)
application = GracefulShutdown(
    AbortBrokenResponses(RequestBodyLimit(router), expected=(IncompleteAnswer,)),
    start=start_answers,
    stop=stop_answers,
    close=providers.close,
    save_at_exit=save_answers_at_exit,
)

# Import every view now, so that the first request does not wait a second for it.
_ = get_resolver().url_patterns

# The event loop waits for the interpreter lock for as long as a database thread may keep it. With the default of five
# milliseconds, all readers of a busy process waited seconds for their first token.
sys.setswitchinterval(0.0005)

# Objects that exist now live until the process ends: the garbage collector need not examine them again.
gc.collect()
gc.freeze()
