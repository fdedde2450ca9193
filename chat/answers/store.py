"""One wish for an answer, on the side of the database: what it needs, and the rows it becomes.

Short synchronous functions, each called through one hop to a thread.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import errors
from chat.answers import prompt, recovery
from chat.infra.prepared_queries import Parameter, PreparedInsert, PreparedQuery, PreparedUpdate
from chat.limits.limiter import Grant
from chat.limits.plans import rules_for, subject_of
from chat.limits.values import Rule
from chat.models import ChatModel, Conversation, Message, ModelPrice, PromptMessage, Status, User
from chat.text import title_from
from chat.usage import prices

NAMESPACE = uuid.UUID("6f0c9c64-3f0e-5f0e-9d2f-7d0a4c3b8e51")
TYPICAL_OUTPUT = 1500


@dataclass(frozen=True, kw_only=True)
class Sent:
    """`is_new` is False where the same client key met its own earlier send; `stays` is as in `Ask`."""

    conversation: Conversation
    answer: Message
    question: Message | None = None
    grant: Grant | None = None
    is_new: bool = True
    stays: bool

    @property
    def begins(self) -> bool:
        """Whether the conversation began with this, so that no page knows it yet."""
        return self.conversation.created_at == self.conversation.updated_at


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One wish for an answer. `parent` is the last message of the branch that the answer follows.

    With `question` set, a user message is added between the two; `question_key` is what its
    client calls it. `turns` is the history of a body without an id: it is written first, into
    a conversation the site does not list. Unless it `stays`, the answer ends with its listener.
    """

    user: User
    client_key: str
    conversation: Conversation | None = None
    parent: Message | None = None
    question: str | None = None
    question_key: str = ""
    model: str = ""
    client_id: str | None = None
    transient: bool = False
    turns: Sequence[tuple[str, str]] = ()
    resume_of: Message | None = None
    stays: bool = True


def derived_id(user_id: int, client_key: str, what: str) -> uuid.UUID:
    """The same person and key always give the same id, so a repeated send meets itself."""
    return uuid.uuid5(NAMESPACE, f"{user_id}:{what}:{client_key}")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the database said before anything was reserved."""

    ask: Ask
    answer_id: uuid.UUID
    model: ChatModel
    price: ModelPrice | None
    prompt: prompt.Prompt
    rules: tuple[Rule, ...]

    @property
    def subject(self) -> str:
        return subject_of(self.ask.user)

    def hold(self) -> tuple[int, int]:
        """Tokens and micro-dollars to reserve."""
        tokens = self.prompt.tokens + min(self.prompt.max_output, TYPICAL_OUTPUT)
        cost = self.price.cost(self.prompt.tokens, tokens - self.prompt.tokens) if self.price else 0
        return tokens, cost

    def output_cap(self, grant: Grant) -> int:
        """A hold that had to shrink caps the answer; a full one leaves it to the model's own cap."""
        if grant.tokens < self.hold()[0]:
            return max(grant.tokens - self.prompt.tokens, 1)
        return self.prompt.max_output


def prepare(find: Callable[[], Ask], roll: recovery.Roll) -> Prepared | Sent:
    """`find` looks up what is asked. Raises what it does, `AnswerRunning`, `KeyReused`, `InvalidInput`."""
    ask = find()
    answer_id = derived_id(ask.user.pk, ask.client_key, "answer")
    if earlier := _earlier(ask, answer_id):
        return earlier
    conversation = ask.conversation
    if conversation and _is_answering(conversation, roll):
        raise errors.AnswerRunning
    model = pick_model(ask.user, ask.model or (conversation.model if conversation else ""))
    return Prepared(
        ask=ask,
        answer_id=answer_id,
        model=model,
        price=prices.at(model.name, timezone.now()),
        prompt=prompt.build(
            _branch_to_send(ask), system=_system_prompt(ask), model=model, resume=ask.resume_of is not None
        ),
        rules=rules_for(ask.user),
    )


def pick_model(user: User, name: str) -> ChatModel:
    """The model by name, or the person's choice, or the catalogue's, or `CHAT_MODEL`. Raises `InvalidInput`."""
    allowed = _allowed_models(user)
    if name:
        if name not in allowed:
            raise errors.InvalidInput(_("Unknown model."))
        return allowed[name]
    default = next((model for model in allowed.values() if model.is_default), allowed[settings.CHAT_MODEL])
    return allowed.get(user.default_model, default)


def _allowed_models(user: User) -> dict[str, ChatModel]:
    """By name. The one that `CHAT_MODEL` names enters the catalogue at its first use."""
    allowed = {model.name: model for model in ChatModel.objects.allowed_to(user)}
    if settings.CHAT_MODEL not in allowed:
        ChatModel.objects.get_or_create(name=settings.CHAT_MODEL)
        return {model.name: model for model in ChatModel.objects.allowed_to(user)}
    return allowed


def _is_answering(conversation: Conversation, roll: recovery.Roll) -> bool:
    """Not where the process that was answering is gone: that answer is closed first."""
    if not _RUNNING(conversation=conversation.pk):
        return False
    recovery.recover(Message.objects.filter(conversation=conversation), roll)
    return bool(_RUNNING(conversation=conversation.pk))


_BEGIN = PreparedInsert(Conversation)
_INSERT = PreparedInsert(Message)
_GO_ON = PreparedUpdate(
    lambda: (
        Conversation.objects.filter(pk=Parameter("pk", models.UUIDField())),
        {"head": Parameter("head", models.UUIDField()), "updated_at": Parameter("updated_at", models.DateTimeField())},
    )
)
_RUNNING = PreparedQuery(
    lambda: (
        Message.objects.running().filter(conversation=Parameter("conversation", models.UUIDField())).values_list("pk")
    )
)
_KNOWN = PreparedQuery(lambda: Message.objects.filter(pk=Parameter("pk", models.UUIDField())).values_list("pk"))


def _earlier(ask: Ask, answer_id: uuid.UUID) -> Sent | None:
    if not _KNOWN.one(pk=answer_id):
        return None
    answer = Message.objects.for_user(ask.user).select_related("parent").get_or_none(pk=answer_id)
    if answer is None:
        return None
    if ask.question is not None and (answer.parent is None or answer.parent.content != ask.question):
        raise errors.KeyReused
    if ask.conversation and ask.conversation.pk != answer.conversation_id:
        raise errors.KeyReused
    question = answer.parent if ask.question is not None else None
    return Sent(conversation=answer.conversation, question=question, answer=answer, is_new=False, stays=ask.stays)


def _system_prompt(ask: Ask) -> str:
    own = ask.conversation.system_prompt if ask.conversation else ""
    return own or ask.user.system_prompt


def _branch_to_send(ask: Ask) -> list[PromptMessage]:
    branch = [PromptMessage(role=role, content=text) for role, text in ask.turns]
    if ask.conversation and ask.parent:
        branch = Message.objects.prompt_messages(ask.conversation.pk, ask.parent.pk)
    if ask.question is not None:
        branch.append(PromptMessage(role=Message.Role.USER, content=ask.question))
    if unfinished := ask.resume_of:
        branch.append(PromptMessage(role=unfinished.role, content=unfinished.content, status=unfinished.status))
    return branch


def write(prepared: Prepared, grant: Grant, process_id: uuid.UUID) -> Sent:
    """The user message and the empty answer in one transaction. Raises `AnswerRunning`, `KeyReused`, `NotFound`."""
    try:
        with transaction.atomic():
            return _insert(prepared, grant, process_id)
    except IntegrityError:
        if earlier := _earlier(prepared.ask, prepared.answer_id):
            return earlier
        if prepared.ask.conversation or prepared.ask.client_id:
            raise errors.AnswerRunning from None
        raise


def _insert(prepared: Prepared, grant: Grant, process_id: uuid.UUID) -> Sent:
    ask = prepared.ask
    now = timezone.now()
    conversation = ask.conversation or _begin(prepared, now)
    parent = _insert_turns(ask, conversation) if ask.turns else ask.parent
    question = None
    if ask.question is not None:
        question = parent = Message(
            pk=derived_id(ask.user.pk, ask.client_key, "question"),
            conversation=conversation,
            parent=parent,
            role=Message.Role.USER,
            content=ask.question,
            client_key=ask.question_key,
            created_at=now,
            finished_at=now,
        )
    cap = prepared.output_cap(grant)
    prefix = ask.resume_of.content if ask.resume_of else ""
    answer = Message(
        pk=prepared.answer_id,
        conversation=conversation,
        parent=parent,
        role=Message.Role.ASSISTANT,
        status=Status.PENDING,
        content=prefix,
        prefix_length=len(prefix),
        model=prepared.model.name,
        client_key=ask.client_key,
        prompt_tokens=prepared.prompt.tokens,
        reserved_tokens=grant.tokens,
        reserved_cost=grant.cost,
        turns_left_out=prepared.prompt.left_out,
        output_cap=cap if cap < prepared.prompt.max_output else None,
        owner_id=process_id,
        created_at=timezone.now(),
    )
    _INSERT(*([question, answer] if question else [answer]))
    conversation.head = answer
    conversation.updated_at = now
    if ask.conversation and not _GO_ON(pk=conversation.pk, head=answer.pk, updated_at=now):
        raise errors.NotFound
    return Sent(conversation=conversation, question=question, answer=answer, grant=grant, stays=ask.stays)


def _begin(prepared: Prepared, now: dt.datetime) -> Conversation:
    """A conversation whose head is the answer that follows in the same transaction."""
    ask = prepared.ask
    conversation = Conversation(
        pk=derived_id(ask.user.pk, ask.client_key, "conversation"),
        user=ask.user,
        title=title_from(ask.question or (ask.turns[-1][1] if ask.turns else "")),
        model=ask.model,
        client_id=ask.client_id,
        transient=ask.transient,
        head_id=prepared.answer_id,
        created_at=now,
        updated_at=now,
    )
    _BEGIN(conversation)
    return conversation


def _insert_turns(ask: Ask, conversation: Conversation) -> Message | None:
    parent: Message | None = None
    rows = []
    for role, text in ask.turns:
        parent = Message(conversation=conversation, parent=parent, role=role, content=text, finished_at=timezone.now())
        rows.append(parent)
    _INSERT(*rows)
    return parent
