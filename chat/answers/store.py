"""Database steps for starting an answer. Short synchronous functions, each called through one database thread."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import errors
from chat.answers import prompt, recovery
from chat.answers.liveness import Liveness
from chat.answers.request import AnswerRequest
from chat.infra.prepared_queries import Parameter, PreparedInsert, PreparedQuery, PreparedUpdate
from chat.limits.limiter import Grant
from chat.limits.plans import rules_for
from chat.models import ChatModel, Conversation, Message, MessageQuerySet, PromptMessage, Status, User
from chat.text import title_from
from chat.usage import prices

NAMESPACE = uuid.UUID("6f0c9c64-3f0e-5f0e-9d2f-7d0a4c3b8e51")


def derived_id(user_id: int, client_key: str, kind: str) -> uuid.UUID:
    """Deterministic id of a row: a send that is repeated with the same client key finds the first answer."""
    return uuid.uuid5(NAMESPACE, f"{user_id}:{kind}:{client_key}")


def get_conversation(user: User, conversation_id: uuid.UUID) -> Conversation:
    """The user's own conversation. Raises `NotFound`."""
    found = Conversation.objects.get_for_user(user, conversation_id)
    if found is None:
        raise errors.NotFound
    return found


def get_answer(messages: MessageQuerySet, message_id: uuid.UUID) -> Message:
    """An assistant message among these. Raises `NotFound`."""
    found = messages.get_or_none(pk=message_id, role=Message.Role.ASSISTANT)
    if found is None:
        raise errors.NotFound
    return found


def prepare(find: Callable[[], AnswerRequest], liveness: Liveness) -> AnswerRequest:
    """The request that `find` looks up, with everything that is needed to reserve and to ask the model.

    Raises what `find` raises, `AnswerRunning`, `KeyReused`, `InvalidInput`.
    """
    request = find()
    request.answer_id = derived_id(request.user.pk, request.client_key, "answer")
    if _load_earlier(request):
        return request
    conversation = request.conversation
    if conversation and _is_answering(conversation, liveness):
        raise errors.AnswerRunning
    request.model = pick_model(request.user, request.model_name or (conversation.model if conversation else ""))
    request.price = prices.at(request.model.name, timezone.now())
    request.rules = rules_for(request.user)
    request.prompt = prompt.build(
        _branch_to_send(request),
        system=(conversation.system_prompt if conversation else "") or request.user.system_prompt,
        model=request.model,
        continues=request.continued is not None,
    )
    output = min(request.prompt.max_output, prompt.TYPICAL_OUTPUT)
    request.tokens = request.prompt.tokens + output
    request.cost = request.price.cost(request.prompt.tokens, output) if request.price else 0
    return request


def pick_model(user: User, name: str) -> ChatModel:
    """The model of this name, else the user's choice, the catalogue's default or `CHAT_MODEL`. Raises `InvalidInput`.

    `CHAT_MODEL` enters the catalogue when it is first used.
    """
    allowed = {model.name: model for model in ChatModel.objects.allowed_to(user)}
    if settings.CHAT_MODEL not in allowed:
        ChatModel.objects.get_or_create(name=settings.CHAT_MODEL)
        allowed = {model.name: model for model in ChatModel.objects.allowed_to(user)}
    if name:
        if name not in allowed:
            raise errors.InvalidInput(_("Unknown model."))
        return allowed[name]
    default = next((model for model in allowed.values() if model.is_default), allowed[settings.CHAT_MODEL])
    return allowed.get(user.default_model, default)


_FIND_RUNNING = PreparedQuery(
    lambda: (
        Message.objects.running().filter(conversation=Parameter("conversation", models.UUIDField())).values_list("pk")
    )
)
_FIND_ID = PreparedQuery(lambda: Message.objects.filter(pk=Parameter("pk", models.UUIDField())).values_list("pk"))


def _is_answering(conversation: Conversation, liveness: Liveness) -> bool:
    """Whether an answer runs here. One whose server process is gone is closed first."""
    if not _FIND_RUNNING(conversation=conversation.pk):
        return False
    recovery.recover(Message.objects.filter(conversation=conversation), liveness)
    return bool(_FIND_RUNNING(conversation=conversation.pk))


def _load_earlier(request: AnswerRequest) -> bool:
    """Whether this client key was sent before; the request then has that answer. Raises `KeyReused`."""
    if not _FIND_ID.one(pk=request.answer_id):
        return False
    answer = Message.objects.for_user(request.user).select_related("parent").get_or_none(pk=request.answer_id)
    if answer is None:
        return False
    if request.question is not None and (answer.parent is None or answer.parent.content != request.question):
        raise errors.KeyReused
    if request.conversation and request.conversation.pk != answer.conversation_id:
        raise errors.KeyReused
    request.answer, request.is_new = answer, False
    request.question_message = answer.parent if request.question is not None else None
    return True


def _branch_to_send(request: AnswerRequest) -> list[PromptMessage]:
    branch = [PromptMessage(role=role, content=text) for role, text in request.history]
    if request.conversation and request.parent:
        branch = Message.objects.prompt_messages(request.conversation.pk, request.parent.pk)
    if request.question is not None:
        branch.append(PromptMessage(role=Message.Role.USER, content=request.question))
    if unfinished := request.continued:
        branch.append(PromptMessage(role=unfinished.role, content=unfinished.content, status=unfinished.status))
    return branch


_INSERT_CONVERSATION = PreparedInsert(Conversation)
_INSERT_MESSAGES = PreparedInsert(Message)
_SET_HEAD = PreparedUpdate(
    lambda: (
        Conversation.objects.filter(pk=Parameter("pk", models.UUIDField())),
        {"head": Parameter("head", models.UUIDField()), "updated_at": Parameter("updated_at", models.DateTimeField())},
    )
)


def create(request: AnswerRequest, grant: Grant, process_id: uuid.UUID) -> None:
    """Write the user message and the empty answer in one transaction.

    Raises `AnswerRunning`, `KeyReused`, `NotFound`.
    """
    try:
        with transaction.atomic():
            _insert(request, grant, process_id)
    except IntegrityError:
        if _load_earlier(request):
            return
        if request.conversation or request.client_id:
            raise errors.AnswerRunning from None
        raise


def _insert(request: AnswerRequest, grant: Grant, process_id: uuid.UUID) -> None:
    now = timezone.now()
    conversation = request.conversation or _insert_conversation(request, now)
    parent = _insert_history(request, conversation) if request.history else request.parent
    rows = []
    if request.question is not None:
        parent = Message(
            pk=derived_id(request.user.pk, request.client_key, "question"),
            conversation=conversation,
            parent=parent,
            role=Message.Role.USER,
            content=request.question,
            client_key=request.question_key,
            created_at=now,
            finished_at=now,
        )
        rows.append(parent)
    cap = request.output_cap(grant)
    prefix = request.continued.content if request.continued else ""
    answer = Message(
        pk=request.answer_id,
        conversation=conversation,
        parent=parent,
        role=Message.Role.ASSISTANT,
        status=Status.PENDING,
        content=prefix,
        prefix_length=len(prefix),
        model=request.model.name,
        client_key=request.client_key,
        prompt_tokens=request.prompt.tokens,
        reserved_tokens=grant.tokens,
        reserved_cost=grant.cost,
        turns_left_out=request.prompt.left_out,
        output_cap=cap if cap < request.prompt.max_output else None,
        owner_id=process_id,
        created_at=timezone.now(),
    )
    _INSERT_MESSAGES(*rows, answer)
    conversation.head = answer
    conversation.updated_at = now
    if request.conversation and not _SET_HEAD(pk=conversation.pk, head=answer.pk, updated_at=now):
        raise errors.NotFound
    request.answer, request.question_message = answer, rows[0] if rows else None


def _insert_conversation(request: AnswerRequest, now: dt.datetime) -> Conversation:
    """A new conversation. Its head is the answer that is written later in the same transaction."""
    conversation = Conversation(
        pk=derived_id(request.user.pk, request.client_key, "conversation"),
        user=request.user,
        title=title_from(request.question or (request.history[-1][1] if request.history else "")),
        model=request.model_name,
        client_id=request.client_id,
        transient=request.transient,
        head_id=request.answer_id,
        created_at=now,
        updated_at=now,
    )
    _INSERT_CONVERSATION(conversation)
    return conversation


def _insert_history(request: AnswerRequest, conversation: Conversation) -> Message | None:
    parent: Message | None = None
    rows = []
    for role, text in request.history:
        parent = Message(conversation=conversation, parent=parent, role=role, content=text, finished_at=timezone.now())
        rows.append(parent)
    _INSERT_MESSAGES(*rows)
    return parent
