"""Records of admins who read a user's conversation."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ConversationReadingQuerySet(models.QuerySet["ConversationReading"]):
    def for_conversation(self, conversation_id: uuid.UUID) -> ConversationReadingQuerySet:
        """Readings of one conversation, newest first."""
        return self.filter(conversation_id=conversation_id)


class ConversationReading(models.Model):
    """An admin read another user's conversation, with a reason. Kept when the conversation or an account is removed."""

    conversation_id = models.UUIDField(_("conversation"), db_index=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="readings_of_mine",
        verbose_name=_("owner"),
        editable=False,
    )
    reader = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="readings_by_me",
        verbose_name=_("reader"),
        editable=False,
    )
    reader_name = models.CharField(_("reader name"), max_length=150, editable=False)
    reason = models.CharField(_("reason"), max_length=500, editable=False)
    read_at = models.DateTimeField(_("time"), default=timezone.now, db_index=True, editable=False)

    objects = ConversationReadingQuerySet.as_manager()

    class Meta:
        verbose_name = _("reading of a conversation")
        verbose_name_plural = _("readings of conversations")
        ordering = ("-read_at",)

    def __str__(self) -> str:
        return str(self.conversation_id)
