from chat.models.access import ApiKey, LimitOverride, Plan, User
from chat.models.conversation import Conversation, Message, ServerProcess, Status
from chat.models.usage import ChatModel, DailyUsage, ModelPrice, UsageRecord

__all__ = [
    "ApiKey",
    "ChatModel",
    "Conversation",
    "DailyUsage",
    "LimitOverride",
    "Message",
    "ModelPrice",
    "Plan",
    "ServerProcess",
    "Status",
    "UsageRecord",
    "User",
]
