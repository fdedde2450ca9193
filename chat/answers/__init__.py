"""Answers: start, stop and run generations.

The life of an answer: `start` looks the request up (`store.prepare`), reserves (`chat.limits`), writes the rows
(`store.create`) and hands a `Generation` to the process's `Runner`. The runner's task relays what the provider sends
into the event log (`relay`), then saves the message and its ledger row, and settles the reservation. `recovery` ends
answers whose process died, `disconnect` those that nobody reads.

Public: `send`, `regenerate`, `edit`, `continue_answer`, `reply_in_chat`, `reply_once`, `stop`, `stop_for_admin`,
`find_running_in_chat`, `AnswerRequest`, `ChatBody`, `current_runner`.
May import: infra, models, providers, eventlog, limits, usage, accounts.
"""

from chat.answers.client_chats import ChatBody
from chat.answers.request import AnswerRequest
from chat.answers.runner import current_runner
from chat.answers.start import (
    check_question,
    continue_answer,
    edit,
    regenerate,
    reply_in_chat,
    reply_once,
    send,
)
from chat.answers.stopping import find_running_in_chat, stop, stop_for_admin

__all__ = [
    "AnswerRequest",
    "ChatBody",
    "check_question",
    "continue_answer",
    "current_runner",
    "edit",
    "find_running_in_chat",
    "regenerate",
    "reply_in_chat",
    "reply_once",
    "send",
    "stop",
    "stop_for_admin",
]
