"""The one door: everything that starts or ends a generation goes through here."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from chat import clientchats, errors, metrics, notices, prompt, recovery, runner, viewers
from chat.dialects import ChatBody
from chat.generation import Job, price_at
from chat.limits import limiter
from chat.limits.limiter import Grant
from chat.limits.plans import rules_for
from chat.limits.values import Rule
from chat.models import ChatModel, Conversation, DailyUsage, Message, ModelPrice, Status, User
from chat.models.conversation import RUNNING
from chat.text import clean_text, title_from
from chat.threads import in_database
from chat.upstream import CompletionRequest

NAMESPACE = uuid.UUID("6f0c9c64-3f0e-5f0e-9d2f-7d0a4c3b8e51")
MINIMUM_OUTPUT = 256
TYPICAL_OUTPUT = 1500
LETTING_GO = 0.5


@dataclass(frozen=True, kw_only=True)
class Sent:
    """`is_new` is False where the same client key met its own earlier send."""

    conversation: Conversation
    answer: Message
    question: Message | None = None
    grant: Grant | None = None
    is_new: bool = True


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
    system: str | None = None
    client_id: str | None = None
    transient: bool = False
    turns: Sequence[tuple[str, str]] = ()
    resume_of: Message | None = None
    stays: bool = True


def derived_id(user_id: int, client_key: str, what: str) -> uuid.UUID:
    """The same person and key always give the same id, so a repeated send meets itself."""
    return uuid.uuid5(NAMESPACE, f"{user_id}:{what}:{client_key}")


async def send(
    user: User,
    question: str,
    *,
    client_key: str,
    conversation_id: uuid.UUID | None = None,
    model: str = "",
) -> Sent:
    """A new message and its answer, in a new conversation or at the head of one.

    Raises `InvalidInput`, `NotFound`, `AnswerRunning`, `KeyReused`, `LimitExceeded`,
    `LimiterDown`, `ShuttingDown`, `StorageDown`.
    """
    text = checked_question(question)
    conversation = await in_database(_conversation, user, conversation_id) if conversation_id else None
    return await start(
        Ask(
            user=user,
            client_key=client_key,
            conversation=conversation,
            parent=conversation.head if conversation else None,
            question=text,
            model=model,
        )
    )


async def regenerate(user: User, message_id: uuid.UUID, *, client_key: str, model: str = "") -> Sent:
    """Another answer beside this one."""
    answer = await in_database(_answer, user, message_id)
    return await start(
        Ask(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model=model or answer.model,
        )
    )


async def edit(user: User, message_id: uuid.UUID, question: str, *, client_key: str, model: str = "") -> Sent:
    """Another wording beside this question, with an answer of its own."""
    text = checked_question(question)
    message = await in_database(_message, user, message_id, Message.Role.USER)
    return await start(
        Ask(
            user=user,
            client_key=client_key,
            conversation=message.conversation,
            parent=message.parent,
            question=text,
            model=model,
        )
    )


async def resume(user: User, message_id: uuid.UUID, *, client_key: str) -> Sent:
    """Goes on from the text of an unfinished answer, in an answer beside it that begins with that text."""
    answer = await in_database(_answer, user, message_id)
    if answer.status not in (Status.INTERRUPTED, Status.TRUNCATED, Status.STOPPED) or not answer.content:
        raise errors.Conflict(_("There is nothing to continue."))
    return await start(
        Ask(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model=answer.model,
            resume_of=answer,
        )
    )


async def converse(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer that a client asks for in a chat it names; a new name begins a new conversation.

    A hook that stops and at once asks again is as fast as its dropped connection, so a
    running answer gets a moment to end. Raises as `send`.
    """
    text = checked_question(body.prompt)
    give_up = asyncio.get_running_loop().time() + LETTING_GO
    while True:
        try:
            return await start(await in_database(_ask_in_chat, user, replace(body, prompt=text), stays))
        except errors.AnswerRunning:
            if asyncio.get_running_loop().time() > give_up:
                raise
        await asyncio.sleep(0.05)


async def answer_once(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer to a history that belongs to no chat: the site does not list it. Raises as `send`."""
    return await start(
        Ask(
            user=user,
            client_key=body.client_key or str(uuid.uuid4()),
            question=checked_question(body.prompt),
            turns=body.turns[:-1],
            model=body.model,
            transient=True,
            stays=stays,
        )
    )


async def running_in_chat(user: User, chat_id: str) -> Message | None:
    """The answer that runs in a chat its client names; nothing in a chat that is unknown or not this person's."""
    return await in_database(_running_in_chat, user, chat_id)


async def stop(user: User, message_id: uuid.UUID) -> Message:
    """Asks the owner of a running answer to end it; an ended one is left as it is."""
    return await _stop(Message.objects.for_user(user), message_id)


async def stop_for_admin(message_id: uuid.UUID) -> Message:
    """As `stop`, whoever asked for the answer. The caller has checked the right to."""
    return await _stop(Message.objects.select_related("conversation"), message_id)


async def _stop(reachable: QuerySet[Message], message_id: uuid.UUID) -> Message:
    message = await in_database(_request_stop, reachable, message_id)
    if message.is_running:
        if runner.current().stop(message.pk):
            await runner.current().wait(message.pk)
            message = await in_database(_answer_among, reachable, message_id)
        else:
            await notices.stop(message.pk)
    return message


def checked_question(question: str) -> str:
    """The text as it is stored. Raises `InvalidInput`."""
    text = clean_text(question)
    if not text.strip():
        raise errors.InvalidInput(_("Write a message first."))
    limit = settings.CHAT_MAX_PROMPT_CHARS
    if len(text) > limit:
        raise errors.InvalidInput(
            _("Too long: %(length)s of %(limit)s characters.") % {"length": f"{len(text):,}", "limit": f"{limit:,}"}
        )
    return text


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What the database said before anything was reserved."""

    ask: Ask
    answer_id: uuid.UUID
    model: ChatModel
    price: ModelPrice | None
    prompt: prompt.Prompt
    rules: tuple[Rule, ...]

    @property
    def subject(self) -> str:
        return f"user:{self.ask.user.pk}"

    def hold(self) -> tuple[int, int]:
        tokens = self.prompt.tokens + min(self.prompt.max_output, TYPICAL_OUTPUT)
        cost = self.price.cost(self.prompt.tokens, tokens - self.prompt.tokens) if self.price else 0
        return tokens, cost


async def start(ask: Ask) -> Sent:
    """Find the key, refuse while an answer runs, reserve, write, start.

    Goes through also where its caller is cancelled halfway: a row without a task would
    block its conversation for good.
    """
    task = asyncio.ensure_future(_start(ask))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(partial(_without_caller, ask.stays))
        await asyncio.wait({task})
        raise


def _without_caller(stays: bool, task: asyncio.Task[Sent]) -> None:
    if not task.cancelled() and task.exception() is None and task.result().is_new and not stays:
        runner.current().stop(task.result().answer.pk)


async def _start(ask: Ask) -> Sent:
    runner_ = runner.current()
    try:
        process_id = await runner_.ready()
        planned = await in_database(_plan, ask, runner_.roll)
        if isinstance(planned, Sent):
            return planned
        grant = await _reserve(planned)
        try:
            sent = await in_database(_write, planned, grant, process_id)
        except errors.KeyReused:
            raise  # another send wrote that answer meanwhile, and the lease is its
        except BaseException:
            if not grant.already:
                await _release(planned)
            raise
    except DatabaseError as error:
        raise errors.StorageDown from error
    if sent.is_new:
        runner_.start(_job(planned, sent, grant))
        if not ask.stays:
            viewers.awaited(sent.answer.pk)
        await notices.changed(ask.user.pk, sent.conversation.pk)
    return sent


async def _reserve(plan: _Plan) -> Grant:
    tokens, cost = plan.hold()
    try:
        grant = await limiter.reserve(
            plan.subject,
            plan.rules,
            lease_id=str(plan.answer_id),
            tokens=tokens,
            cost=cost,
            min_tokens=plan.prompt.tokens + MINIMUM_OUTPUT,
        )
    except errors.LimitExceeded as error:
        for violation in error.violations:
            metrics.decisions.labels(violation.name, "refused").inc()
        await in_database(DailyUsage.objects.add_refusal, plan.ask.user.pk, plan.model.name)
        raise
    for rule in plan.rules:
        metrics.decisions.labels(rule.name, "degraded" if grant.degraded else "allowed").inc()
    return grant


async def _release(plan: _Plan) -> None:
    with suppress(errors.LimiterDown):  # then it runs out by itself
        await limiter.settle(
            plan.subject, plan.rules, lease_id=str(plan.answer_id), tokens=0, cost=0, refund_request=True
        )


def _job(plan: _Plan, sent: Sent, grant: Grant) -> Job:
    return Job(
        message_id=sent.answer.pk,
        conversation_id=sent.conversation.pk,
        user_id=plan.ask.user.pk,
        subject=plan.subject,
        rules=plan.rules,
        request=CompletionRequest(
            model=plan.model.name,
            turns=plan.prompt.turns,
            max_output_tokens=_output_cap(plan, grant),
            safety_identifier=salted_hmac("chat.safety", str(plan.ask.user.pk), algorithm="sha256").hexdigest(),
        ),
        prompt_tokens=plan.prompt.tokens,
        reserved_tokens=grant.tokens,
        reserved_cost=grant.cost,
        price=plan.price,
        prefix=plan.ask.resume_of.content if plan.ask.resume_of else "",
    )


def _output_cap(plan: _Plan, grant: Grant) -> int:
    """A hold that had to shrink caps the answer; a full one leaves it to the model's own cap."""
    if grant.tokens < plan.hold()[0]:
        return max(grant.tokens - plan.prompt.tokens, 1)
    return plan.prompt.max_output


# The database side: short synchronous functions, called through one thread hop each.


def _ask_in_chat(user: User, body: ChatBody, stays: bool) -> Ask:
    conversation = clientchats.find(user, body.chat_id or "")
    place = clientchats.place(conversation, body)
    return Ask(
        user=user,
        client_key=place.key(body),
        conversation=conversation,
        parent=place.parent,
        question=place.question,
        question_key=body.question_key or "",
        model=body.model,
        client_id=body.chat_id,
        stays=stays,
    )


def _running_in_chat(user: User, chat_id: str) -> Message | None:
    try:
        conversation = clientchats.find(user, chat_id)
    except errors.NotFound:
        return None
    return running_answer(conversation) if conversation else None


def _conversation(user: User, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.for_user(user).select_related("head").filter(pk=conversation_id).first()
    if found is None:
        raise errors.NotFound
    return found


def _message(user: User, message_id: uuid.UUID, role: str) -> Message:
    found = Message.objects.for_user(user).select_related("parent").filter(pk=message_id, role=role).first()
    if found is None:
        raise errors.NotFound
    return found


def _answer(user: User, message_id: uuid.UUID) -> Message:
    return _answer_among(Message.objects.for_user(user).select_related("parent"), message_id)


def _answer_among(reachable: QuerySet[Message], message_id: uuid.UUID) -> Message:
    found = reachable.filter(pk=message_id, role=Message.Role.ASSISTANT).first()
    if found is None:
        raise errors.NotFound
    return found


def _request_stop(reachable: QuerySet[Message], message_id: uuid.UUID) -> Message:
    answer = _answer_among(reachable, message_id)
    Message.objects.running().filter(pk=answer.pk).update(stop_requested=True)
    return answer


def pick_model(user: User, name: str) -> ChatModel:
    """The model by name, or the person's choice, or the catalogue's, or `CHAT_MODEL`. Raises `InvalidInput`."""
    ChatModel.objects.get_or_create(name=settings.CHAT_MODEL)
    allowed = ChatModel.objects.allowed_to(user)
    if name:
        found = allowed.filter(name=name).first() if len(name) <= 128 else None
        if found is None:
            raise errors.InvalidInput(_("Unknown model."))
        return found
    chosen = allowed.filter(name=user.default_model).first() or allowed.filter(is_default=True).first()
    return chosen or allowed.get(name=settings.CHAT_MODEL)


def _plan(ask: Ask, roll: recovery.Roll) -> _Plan | Sent:
    answer_id = derived_id(ask.user.pk, ask.client_key, "answer")
    if earlier := _earlier(ask, answer_id):
        return earlier
    conversation = ask.conversation
    if conversation and _is_answering(conversation, roll):
        raise errors.AnswerRunning
    model = pick_model(ask.user, ask.model or (conversation.model if conversation else ""))
    return _Plan(
        ask=ask,
        answer_id=answer_id,
        model=model,
        price=price_at(model.name, timezone.now()),
        prompt=prompt.build(
            _branch_to_send(ask), system=_system_prompt(ask), model=model, resume=ask.resume_of is not None
        ),
        rules=rules_for(ask.user),
    )


def _is_answering(conversation: Conversation, roll: recovery.Roll) -> bool:
    """Not where the process that was answering is gone: that answer is closed first."""
    running = Message.objects.running().filter(conversation=conversation)
    if not running.exists():
        return False
    recovery.recover(running, roll)
    return running.exists()


def _earlier(ask: Ask, answer_id: uuid.UUID) -> Sent | None:
    answer = Message.objects.for_user(ask.user).select_related("parent").filter(pk=answer_id).first()
    if answer is None:
        return None
    if ask.question is not None and (answer.parent is None or answer.parent.content != ask.question):
        raise errors.KeyReused
    if ask.conversation and ask.conversation.pk != answer.conversation_id:
        raise errors.KeyReused
    question = answer.parent if ask.question is not None else None
    return Sent(conversation=answer.conversation, question=question, answer=answer, is_new=False)


def _system_prompt(ask: Ask) -> str:
    if ask.system is not None:
        return ask.system
    own = ask.conversation.system_prompt if ask.conversation else ""
    return own or ask.user.system_prompt


def _branch_to_send(ask: Ask) -> list[Message]:
    branch = [Message(role=role, content=text) for role, text in ask.turns]
    if ask.conversation and ask.parent:
        branch = ask.conversation.branch_to(ask.parent.pk)
    if ask.question is not None:
        branch.append(Message(role=Message.Role.USER, content=ask.question))
    if ask.resume_of is not None:
        branch.append(ask.resume_of)
    return branch


def _write(plan: _Plan, grant: Grant, process_id: uuid.UUID) -> Sent:
    try:
        with transaction.atomic():
            return _insert(plan, grant, process_id)
    except IntegrityError:
        if earlier := _earlier(plan.ask, plan.answer_id):
            return earlier
        if plan.ask.conversation or plan.ask.client_id:
            raise errors.AnswerRunning from None
        raise


def _insert(plan: _Plan, grant: Grant, process_id: uuid.UUID) -> Sent:
    ask = plan.ask
    now = timezone.now()
    conversation = ask.conversation or Conversation.objects.create(
        pk=derived_id(ask.user.pk, ask.client_key, "conversation"),
        user=ask.user,
        title=title_from(ask.question or (ask.turns[-1][1] if ask.turns else "")),
        model=ask.model,
        client_id=ask.client_id,
        transient=ask.transient,
        created_at=now,
        updated_at=now,
    )
    parent = _insert_turns(ask, conversation) if ask.turns else ask.parent
    question = None
    if ask.question is not None:
        question = parent = Message.objects.create(
            pk=derived_id(ask.user.pk, ask.client_key, "question"),
            conversation=conversation,
            parent=parent,
            role=Message.Role.USER,
            content=ask.question,
            client_key=ask.question_key,
            created_at=now,
            finished_at=now,
        )
    cap = _output_cap(plan, grant)
    answer = Message.objects.create(
        pk=plan.answer_id,
        conversation=conversation,
        parent=parent,
        role=Message.Role.ASSISTANT,
        status=Status.PENDING,
        content=ask.resume_of.content if ask.resume_of else "",
        model=plan.model.name,
        client_key=ask.client_key,
        prompt_tokens=plan.prompt.tokens,
        reserved_tokens=grant.tokens,
        reserved_cost=grant.cost,
        turns_left_out=plan.prompt.left_out,
        output_cap=cap if cap < plan.prompt.max_output else None,
        owner_id=process_id,
        created_at=timezone.now(),
    )
    conversation.head = answer
    conversation.updated_at = now
    conversation.save(update_fields=("head", "updated_at"))
    return Sent(conversation=conversation, question=question, answer=answer, grant=grant)


def _insert_turns(ask: Ask, conversation: Conversation) -> Message | None:
    parent: Message | None = None
    rows = []
    for role, text in ask.turns:
        parent = Message(conversation=conversation, parent=parent, role=role, content=text, finished_at=timezone.now())
        rows.append(parent)
    Message.objects.bulk_create(rows)
    return parent


def running_answer(conversation: Conversation) -> Message | None:
    return conversation.messages.filter(status__in=RUNNING).first()
