"""Constants of the stream that `manage.py stream_doctor` asks a running site for."""

from __future__ import annotations

CHECK_SALT = "chat.stream-check"
CHECK_EVENTS = 8
CHECK_GAP = 0.25
