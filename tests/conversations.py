"""Conversations as tests of pages need them."""

from __future__ import annotations

from chat.models import Conversation, Message, User


def conversation_of(user: User, title: str = "A title") -> Conversation:
    """A question and its complete answer."""
    conversation = Conversation.objects.create(user=user, title=title)
    question = Message.objects.create(conversation=conversation, role="user", content=f"Question of {title}")
    conversation.head = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", content=f"Answer in {title}", model="m"
    )
    conversation.save()
    return conversation
