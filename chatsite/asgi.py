"""The application every ASGI server serves."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from chat.consumers import NoticesConsumer  # noqa: E402
from chatsite.serving import BreakOff, Drain, LeanHandler, Sockets  # noqa: E402

# Imports every view now: the first request does not wait a second for it.
_ = get_resolver().url_patterns

application = Drain(
    BreakOff(ProtocolTypeRouter({"http": LeanHandler(), "websocket": Sockets("/ws/", NoticesConsumer.as_asgi())}))
)
