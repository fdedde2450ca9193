"""What can be found: one row for each title and each finished message."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from chat.models.conversations import Conversation
from chat.models.messages import Message


class SearchEntry(models.Model):
    """A line of the full-text index. Triggers of the database write it, see `chat.search`; its id grows with time.

    Without a message it is the conversation's title.
    """

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="+")
    message = models.OneToOneField(Message, on_delete=models.CASCADE, null=True, related_name="+")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("conversation",), condition=Q(message=None), name="search_one_title"),
        )

    def __str__(self) -> str:
        return str(self.message_id or self.conversation_id)
