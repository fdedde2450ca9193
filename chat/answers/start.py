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

from chat import errors
from chat.answers import readers, requests, runner, store
from chat.answers.client_chats import ChatBody
from chat.answers.run import Job
from chat.answers.store import Ask, Prepared, Sent
from chat.infra import metrics, notifications
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter
from chat.limits.limiter import Grant
from chat.models import DailyUsage, Message, MessageQuerySet, User
from chat.providers import CompletionRequest
from chat.text import clean_text

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
    return await start(partial(requests.send, user, text, client_key, conversation_id, model))


async def regenerate(user: User, message_id: uuid.UUID, *, client_key: str, model: str = "") -> Sent:
    """Another answer beside this one."""
    return await start(partial(requests.regenerate, user, message_id, client_key, model))


async def edit(user: User, message_id: uuid.UUID, question: str, *, client_key: str, model: str = "") -> Sent:
    """Another wording beside this question, with an answer of its own."""
    text = checked_question(question)
    return await start(partial(requests.edit, user, message_id, text, client_key, model))


async def resume(user: User, message_id: uuid.UUID, *, client_key: str) -> Sent:
    """Goes on from the text of an unfinished answer, in an answer beside it that begins with that text."""
    return await start(partial(requests.resume, user, message_id, client_key))


async def converse(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer that a client asks for in a chat it names; a new name begins a new conversation.

    A hook that stops and at once asks again is as fast as its dropped connection, so a
    running answer gets a moment to end. Raises as `send`.
    """
    asked = replace(body, prompt=checked_question(body.prompt))
    give_up = asyncio.get_running_loop().time() + LETTING_GO
    while True:
        try:
            return await start(partial(requests.converse, user, asked, stays))
        except errors.AnswerRunning:
            if asyncio.get_running_loop().time() > give_up:
                raise
        await asyncio.sleep(0.05)


async def answer_once(user: User, body: ChatBody, *, stays: bool) -> Sent:
    """The answer to a history that belongs to no chat: the site does not list it. Raises as `send`."""
    asked = replace(body, prompt=checked_question(body.prompt))
    return await start(partial(requests.answer_once, user, asked, stays))


async def running_in_chat(user: User, chat_id: str) -> Message | None:
    """The answer that runs in a chat its client names; nothing in a chat that is unknown or not this person's."""
    return await run_in_db_thread(requests.running_in_chat, user, chat_id)


async def stop(user: User, message_id: uuid.UUID) -> Message:
    """Asks the owner of a running answer to end it; an ended one is left as it is."""
    return await _stop(Message.objects.for_user(user), message_id)


async def stop_for_admin(message_id: uuid.UUID) -> Message:
    """As `stop`, whoever asked for the answer. The caller has checked the right to."""
    return await _stop(Message.objects.select_related("conversation"), message_id)


async def _stop(reachable: MessageQuerySet, message_id: uuid.UUID) -> Message:
    message = await run_in_db_thread(requests.request_stop, reachable, message_id)
    if message.is_running:
        if runner.current().stop(message.pk):
            await runner.current().wait(message.pk)
            message = await run_in_db_thread(requests.answer_among, reachable, message_id)
        else:
            await notifications.publish_stop(message.pk)
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
        prepared = await run_in_db_thread(store.prepare, find, runner_.roll)
        if isinstance(prepared, Sent):
            return prepared
        grant = await _reserve(prepared)
        try:
            sent = await run_in_db_thread(store.write, prepared, grant, process_id)
        except errors.KeyReused:
            raise  # another send wrote that answer meanwhile, and the lease is its
        except BaseException:
            if not grant.already:
                await _release(prepared)
            raise
    except DatabaseError as error:
        raise errors.DatabaseUnavailable from error
    if sent.is_new:
        runner_.start(_job(prepared, sent, grant))
        if not sent.stays:
            readers.awaited(sent.answer.pk)
        await notifications.publish_change(prepared.ask.user.pk, sent.conversation.pk)
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
        await run_in_db_thread(DailyUsage.objects.add_refusal, prepared.ask.user.pk, prepared.model.name)
        raise
    for rule in prepared.rules:
        metrics.decisions.labels(rule.name, "degraded" if grant.degraded else "allowed").inc()
    return grant


async def _release(prepared: Prepared) -> None:
    with suppress(errors.LimiterUnavailable):  # then it runs out by itself
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
