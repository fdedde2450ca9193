"""Ledger rows, and staff with some permissions."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from chat.models import DailyUsage, UsageRecord, User, site_day

SECRET = "alices canary"
REASON = "A complaint about this answer, ticket 17."


def add_record(user: User | None, **fields: Any) -> UsageRecord:
    """A ledger row and its daily total."""
    moment = fields.pop("created_at", timezone.now())
    values = {"message_id": uuid.uuid4(), "conversation_id": uuid.uuid4(), "model": "gpt-4o", "status": "complete"}
    record = UsageRecord(user=user, created_at=moment, day=site_day(moment), **{**values, **fields})
    UsageRecord.objects.bulk_create([record])
    DailyUsage.objects.add_record(record)
    return record


def staff(*permissions: str, name: str = "sam") -> Client:
    """The client of a new staff user with these permissions."""
    user = User.objects.create_user(name, is_staff=True)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client
