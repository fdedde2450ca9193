"""The application every ASGI server serves."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402

from chatsite.serving import BreakOff, Drain, LeanHandler  # noqa: E402

application = Drain(BreakOff(ProtocolTypeRouter({"http": LeanHandler()})))
