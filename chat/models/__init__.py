"""Database rows and their query sets.

Every public name is exported here: other packages import from `chat.models`, not from its modules.

- `User`, `ApiKey`; `Plan`, `LimitOverride` and `LIMIT_NAMES`
- `Conversation` and `Message` with `Status`; `MessageTree`, `MessagePage` and `PromptMessage`, which are parts
  of a conversation; `ConversationReading` (an admin read it); `SearchEntry`
- `ChatModel` and `ModelPrice`
- `UsageRecord` (the usage ledger), `Outcome` (how a generation ended) and `DailyUsage` (daily totals)
- `ServerProcess` (who owns running answers)

May import `chat.infra`, `chat.errors`, `chat.events` and `chat.text`.
"""

from chat.models.api_keys import ApiKey
from chat.models.chat_models import ChatModel, ModelPrice
from chat.models.conversation_reading import ConversationReading
from chat.models.conversations import (
    MESSAGES_PER_PAGE,
    Conversation,
    ConversationQuerySet,
    MessagePage,
    conversation_url,
)
from chat.models.daily_usage import (
    FAILED_STATUSES,
    FIRST_TOKEN_BOUNDS_MS,
    FIRST_TOKEN_COLUMNS,
    SUMMED_COLUMNS,
    DailyUsage,
    DailyUsageQuerySet,
    first_token_column,
    site_day,
    usage_amounts,
)
from chat.models.message_tree import MessageTree
from chat.models.messages import RUNNING_STATUSES, Checkpoint, Message, MessageQuerySet, PromptMessage, Status
from chat.models.plans import LIMIT_NAMES, LimitOverride, Plan
from chat.models.search_entry import SearchEntry
from chat.models.server_process import ServerProcess
from chat.models.usage_records import LedgerImmutable, Outcome, UsageRecord
from chat.models.users import User

__all__ = [
    "FAILED_STATUSES",
    "FIRST_TOKEN_BOUNDS_MS",
    "FIRST_TOKEN_COLUMNS",
    "LIMIT_NAMES",
    "MESSAGES_PER_PAGE",
    "RUNNING_STATUSES",
    "SUMMED_COLUMNS",
    "ApiKey",
    "ChatModel",
    "Checkpoint",
    "Conversation",
    "ConversationQuerySet",
    "ConversationReading",
    "DailyUsage",
    "DailyUsageQuerySet",
    "LedgerImmutable",
    "LimitOverride",
    "Message",
    "MessagePage",
    "MessageQuerySet",
    "MessageTree",
    "ModelPrice",
    "Outcome",
    "Plan",
    "PromptMessage",
    "SearchEntry",
    "ServerProcess",
    "Status",
    "UsageRecord",
    "User",
    "conversation_url",
    "first_token_column",
    "site_day",
    "usage_amounts",
]
