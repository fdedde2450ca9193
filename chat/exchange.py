"""The one door: everything that starts or ends a generation goes through here."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from django.conf import settings
from django.db import DatabaseError
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from chat import asks, clientchats, errors, metrics, notices, runner, viewers
from chat.asks import Ask, Prepared, Sent
from chat.dialects import ChatBody
from chat.limits import limiter
from chat.limits.limiter import Grant
from chat.models import Conversation, DailyUsage, Message, Status, User
from chat.models.conversation import RUNNING, MessageQuerySet
from chat.run import Job
from chat.text import clean_text
from chat.threads import in_database
from chat.upstream import CompletionRequest

MINIMUM_OUTPUT = 256
LETTING_GO = 0.5


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

    def find() -> Ask:
        conversation = _conversation(user, conversation_id) if conversation_id else None
        return Ask(
            user=user,
            client_key=client_key,
            conversation=conversation,
            parent=conversation.head if conversation else None,
            question=text,
            model=model,
        )

    return await start(find)


async def regenerate(user: User, message_id: uuid.UUID, *, client_key: str, model: str = "") -> Sent:
    """Another answer beside this one."""

    def find() -> Ask:
        answer = _answer(user, message_id)
        return Ask(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model=model or answer.model,
        )

    return await start(find)


async def edit(user: User, message_id: uuid.UUID, question: str, *, client_key: str, model: str = "") -> Sent:
    """Another wording beside this question, with an answer of its own."""
    text = checked_question(question)

    def find() -> Ask:
        message = _message(user, message_id, Message.Role.USER)
        return Ask(
            user=user,
            client_key=client_key,
            conversation=message.conversation,
            parent=message.parent,
            question=text,
            model=model,
        )

    return await start(find)


async def resume(user: User, message_id: uuid.UUID, *, client_key: str) -> Sent:
    """Goes on from the text of an unfinished answer, in an answer beside it that begins with that text."""

    def find() -> Ask:
        answer = _answer(user, message_id)
        if answer.status not in (Status.INTERRUPTED, Status.TRUNCATED, Status.STOPPED) or not answer.content:
            raise errors.Conflict(_("There is nothing to continue."))
        return Ask(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model=answer.model,
            resume_of=answer,
        )

    return await start(find)


async def converse(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer that a client asks for in a chat it names; a new name begins a new conversation.

    A hook that stops and at once asks again is as fast as its dropped connection, so a
    running answer gets a moment to end. Raises as `send`.
    """
    asked = replace(body, prompt=checked_question(body.prompt))
    give_up = asyncio.get_running_loop().time() + LETTING_GO
    while True:
        try:
            return await start(partial(_ask_in_chat, user, asked, stays))
        except errors.AnswerRunning:
            if asyncio.get_running_loop().time() > give_up:
                raise
        await asyncio.sleep(0.05)


async def answer_once(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer to a history that belongs to no chat: the site does not list it. Raises as `send`."""
    ask = Ask(
        user=user,
        client_key=body.client_key or str(uuid.uuid4()),
        question=checked_question(body.prompt),
        turns=body.turns[:-1],
        model=body.model,
        transient=True,
        stays=stays,
    )
    return await start(lambda: ask)


async def running_in_chat(user: User, chat_id: str) -> Message | None:
    """The answer that runs in a chat its client names; nothing in a chat that is unknown or not this person's."""
    return await in_database(_running_in_chat, user, chat_id)


async def stop(user: User, message_id: uuid.UUID) -> Message:
    """Asks the owner of a running answer to end it; an ended one is left as it is."""
    return await _stop(Message.objects.for_user(user), message_id)


async def stop_for_admin(message_id: uuid.UUID) -> Message:
    """As `stop`, whoever asked for the answer. The caller has checked the right to."""
    return await _stop(Message.objects.select_related("conversation"), message_id)


async def _stop(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
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


async def start(find: Callable[[], Ask]) -> Sent:
    """Find what is asked and its key, refuse while an answer runs, reserve, write, start.

    `find` runs in a database thread. From then on it goes through also where its caller is
    cancelled: a row without a task would block its conversation for good.
    """
    task = asyncio.ensure_future(_start(find))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_without_caller)
        await asyncio.wait({task})
        raise


def _without_caller(task: asyncio.Task[Sent]) -> None:
    if task.cancelled() or task.exception() is not None:
        return
    sent = task.result()
    if sent.is_new and not sent.stays:
        runner.current().stop(sent.answer.pk)


async def _start(find: Callable[[], Ask]) -> Sent:
    runner_ = runner.current()
    try:
        process_id = await runner_.ready()
        prepared = await in_database(asks.prepare, find, runner_.roll)
        if isinstance(prepared, Sent):
            return prepared
        grant = await _reserve(prepared)
        try:
            sent = await in_database(asks.write, prepared, grant, process_id)
        except errors.KeyReused:
            raise  # another send wrote that answer meanwhile, and the lease is its
        except BaseException:
            if not grant.already:
                await _release(prepared)
            raise
    except DatabaseError as error:
        raise errors.StorageDown from error
    if sent.is_new:
        runner_.start(_job(prepared, sent, grant))
        if not sent.stays:
            viewers.awaited(sent.answer.pk)
        await notices.changed(prepared.ask.user.pk, sent.conversation.pk)
    return sent


async def _reserve(prepared: Prepared) -> Grant:
    tokens, cost = prepared.hold()
    try:
        grant = await limiter.reserve(
            prepared.subject,
            prepared.rules,
            lease_id=str(prepared.answer_id),
            tokens=tokens,
            cost=cost,
            min_tokens=prepared.prompt.tokens + MINIMUM_OUTPUT,
        )
    except errors.LimitExceeded as error:
        for violation in error.violations:
            metrics.decisions.labels(violation.name, "refused").inc()
        await in_database(DailyUsage.objects.add_refusal, prepared.ask.user.pk, prepared.model.name)
        raise
    for rule in prepared.rules:
        metrics.decisions.labels(rule.name, "degraded" if grant.degraded else "allowed").inc()
    return grant


async def _release(prepared: Prepared) -> None:
    with suppress(errors.LimiterDown):  # then it runs out by itself
        await limiter.settle(
            prepared.subject, prepared.rules, lease_id=str(prepared.answer_id), tokens=0, cost=0, refund_request=True
        )


def _job(prepared: Prepared, sent: Sent, grant: Grant) -> Job:
    return Job(
        message_id=sent.answer.pk,
        conversation_id=sent.conversation.pk,
        user_id=prepared.ask.user.pk,
        subject=prepared.subject,
        rules=prepared.rules,
        request=CompletionRequest(
            model=prepared.model.name,
            turns=prepared.prompt.turns,
            max_output_tokens=prepared.output_cap(grant),
            safety_identifier=salted_hmac("chat.safety", str(prepared.ask.user.pk), algorithm="sha256").hexdigest(),
        ),
        prompt_tokens=prepared.prompt.tokens,
        reserved_tokens=grant.tokens,
        reserved_cost=grant.cost,
        price=prepared.price,
        prefix=prepared.ask.resume_of.content if prepared.ask.resume_of else "",
    )


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
    return conversation.messages.filter(status__in=RUNNING).first() if conversation else None


def _conversation(user: User, conversation_id: uuid.UUID) -> Conversation:
    found = Conversation.objects.of(user, conversation_id)
    if found is None:
        raise errors.NotFound
    return found


def _message(user: User, message_id: uuid.UUID, role: str) -> Message:
    found = Message.objects.for_user(user).select_related("parent").one(pk=message_id, role=role)
    if found is None:
        raise errors.NotFound
    return found


def _answer(user: User, message_id: uuid.UUID) -> Message:
    return _answer_among(Message.objects.for_user(user).select_related("parent"), message_id)


def _answer_among(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
    found = reachable.one(pk=message_id, role=Message.Role.ASSISTANT)
    if found is None:
        raise errors.NotFound
    return found


def _request_stop(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
    answer = _answer_among(reachable, message_id)
    Message.objects.running().filter(pk=answer.pk).update(stop_requested=True)
    return answer
