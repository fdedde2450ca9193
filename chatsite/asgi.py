"""The application every ASGI server serves."""

from __future__ import annotations

import gc
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from chat.web.consumers import PageConsumer  # noqa: E402
from chatsite.bodies import BodyLimit, limit_daphne  # noqa: E402
from chatsite.lean import LeanHandler  # noqa: E402
from chatsite.serving import BreakOff, Drain, Sockets  # noqa: E402

# Imports every view now: the first request does not wait a second for it.
_ = get_resolver().url_patterns

limit_daphne()
sockets = Sockets("/ws/", PageConsumer.as_asgi())
application = Drain(BreakOff(BodyLimit(ProtocolTypeRouter({"http": LeanHandler(), "websocket": sockets}))))

# The event loop waits for the interpreter's lock as long as a database thread may keep it. With the
# usual five milliseconds, a busy process let everybody wait for a first word for seconds.
sys.setswitchinterval(0.0005)

# What is there by now stays to the end: the collector need not look at it again and again.
gc.collect()
gc.freeze()
