"""Entries of the full-text index."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from chat.models.conversations import Conversation
from chat.models.messages import Message


class SearchEntry(models.Model):
    """A finished message, or the title of a conversation if `message` is null, as an entry of the full-text index.

    Database triggers write it (see `chat.search.index`). Ids grow with time, so they give the order of results.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="+")
    message = models.OneToOneField(Message, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("conversation",), condition=Q(message=None), name="search_one_title"),
        )

    def __str__(self) -> str:
        return str(self.message_id or self.conversation_id)
