from chat.models.access import ApiKey, LimitOverride, Plan, User
from chat.models.conversation import Conversation, Message, Status
from chat.models.daily import DailyUsage
from chat.models.process import ServerProcess
from chat.models.reading import ConversationReading
from chat.models.search import SearchEntry
from chat.models.usage import ChatModel, ModelPrice, UsageRecord

__all__ = [
    "ApiKey",
    "ChatModel",
    "Conversation",
    "ConversationReading",
    "DailyUsage",
    "LimitOverride",
    "Message",
    "ModelPrice",
    "Plan",
    "SearchEntry",
    "ServerProcess",
    "Status",
    "UsageRecord",
    "User",
]
