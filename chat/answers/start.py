"""Start answers: send, regenerate, edit, continue, and the JSON API's chats.

Every entry point (page, API, commands) calls these functions; nothing else starts a generation. Each raises
`InvalidInput`, `NotFound`, `AnswerRunning`, `KeyReused`, `LimitExceeded`, `LimiterUnavailable`, `ShuttingDown` or
`DatabaseUnavailable`. `client_key` makes a repeated call find the first answer; `grace` is how many seconds the
answer goes on without a reader, None until its end.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext as _

from chat import errors
from chat.answers import client_chats, store
from chat.answers.client_chats import ChatBody
from chat.answers.generation import Generation
from chat.answers.request import AnswerRequest
from chat.answers.runner import current_runner
from chat.infra import metrics, notifications
from chat.infra.database_threads import run_in_db_thread
from chat.limits import limiter
from chat.limits.limiter import Grant
from chat.limits.plans import subject_of
from chat.models import DailyUsage, Message, MessageQuerySet, Status, User
from chat.text import clean_text

MINIMUM_OUTPUT = 256
"""Tokens. A reservation that leaves less than this for the answer is refused."""
CHAT_RETRY_SECONDS = 0.5
CHAT_RETRY_INTERVAL = 0.05
CONTINUABLE = (Status.INTERRUPTED, Status.TRUNCATED, Status.STOPPED)


async def send(
    user: User,
    text: str,
    *,
    client_key: str,
    conversation_id: uuid.UUID | None = None,
    model: str = "",
    grace: float | None = None,
) -> AnswerRequest:
    """Send a message in a new conversation, or at the end of one, and start its answer."""
    question = check_question(text)

    def find() -> AnswerRequest:
        conversation = store.get_conversation(user, conversation_id) if conversation_id else None
        return AnswerRequest(
            user=user,
            client_key=client_key,
            conversation=conversation,
            parent=conversation.head if conversation else None,
            question=question,
            model_name=model,
            grace=grace,
        )

    return await start(find)


async def regenerate(
    user: User, message_id: uuid.UUID, *, client_key: str, model: str = "", grace: float | None = None
) -> AnswerRequest:
    """Start another answer to the question of this answer."""

    def find() -> AnswerRequest:
        answer = store.get_answer(_messages_of(user), message_id)
        return AnswerRequest(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model_name=model or answer.model,
            grace=grace,
        )

    return await start(find)


async def edit(
    user: User, message_id: uuid.UUID, text: str, *, client_key: str, model: str = "", grace: float | None = None
) -> AnswerRequest:
    """Send another version of a question, with an answer of its own."""
    question = check_question(text)

    def find() -> AnswerRequest:
        edited = _messages_of(user).get_or_none(pk=message_id, role=Message.Role.USER)
        if edited is None:
            raise errors.NotFound
        return AnswerRequest(
            user=user,
            client_key=client_key,
            conversation=edited.conversation,
            parent=edited.parent,
            question=question,
            model_name=model,
            grace=grace,
        )

    return await start(find)


async def continue_answer(
    user: User, message_id: uuid.UUID, *, client_key: str, grace: float | None = None
) -> AnswerRequest:
    """Start an answer that begins with the text of an unfinished one and goes on from there. Raises `Conflict`."""

    def find() -> AnswerRequest:
        answer = store.get_answer(_messages_of(user), message_id)
        if answer.status not in CONTINUABLE or not answer.content:
            raise errors.Conflict(_("There is nothing to continue."))
        return AnswerRequest(
            user=user,
            client_key=client_key,
            conversation=answer.conversation,
            parent=answer.parent,
            model_name=answer.model,
            continued=answer,
            grace=grace,
        )

    return await start(find)


async def reply_in_chat(user: User, body: ChatBody, *, grace: float | None) -> AnswerRequest:
    """Start the answer that a client asks for in a chat it names itself. A new name starts a conversation.

    A client that stops an answer and at once asks again is as fast as its dropped connection, so a running answer
    gets `CHAT_RETRY_SECONDS` to end.
    """
    body = replace(body, prompt=check_question(body.prompt))

    def find() -> AnswerRequest:
        conversation = client_chats.find(user, body.chat_id or "")
        place = client_chats.place(conversation, body)
        return AnswerRequest(
            user=user,
            client_key=place.key(body),
            conversation=conversation,
            parent=place.parent,
            question=place.question,
            question_key=body.question_key or "",
            model_name=body.model,
            client_id=body.chat_id,
            grace=grace,
        )

    loop = asyncio.get_running_loop()
    deadline = loop.time() + CHAT_RETRY_SECONDS
    while True:
        try:
            return await start(find)
        except errors.AnswerRunning:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(CHAT_RETRY_INTERVAL)


async def reply_once(user: User, body: ChatBody, *, grace: float | None) -> AnswerRequest:
    """Start the answer to a history that belongs to no chat; the site does not list it."""
    question = check_question(body.prompt)

    def find() -> AnswerRequest:
        return AnswerRequest(
            user=user,
            client_key=body.client_key or str(uuid.uuid4()),
            question=question,
            history=body.turns[:-1],
            model_name=body.model,
            transient=True,
            grace=grace,
        )

    return await start(find)


def check_question(text: str) -> str:
    """The text as it is stored. Raises `InvalidInput` where it is blank or longer than `CHAT_MAX_PROMPT_CHARS`."""
    text = clean_text(text)
    if not text.strip():
        raise errors.InvalidInput(_("Write a message first."))
    limit = settings.CHAT_MAX_PROMPT_CHARS
    if len(text) > limit:
        raise errors.InvalidInput(
            _("Too long: %(length)s of %(limit)s characters.") % {"length": f"{len(text):,}", "limit": f"{limit:,}"}
        )
    return text


def _messages_of(user: User) -> MessageQuerySet:
    return Message.objects.for_user(user).select_related("parent")


async def start(find: Callable[[], AnswerRequest]) -> AnswerRequest:
    """Look the request up, reserve, write its rows and start the generation.

    `find` runs in a database thread. A caller that is cancelled does not interrupt this: rows without a running
    task would block their conversation.
    """
    task = asyncio.ensure_future(_start(find))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_stop_without_caller)
        await asyncio.wait({task})
        raise


def _stop_without_caller(task: asyncio.Task[AnswerRequest]) -> None:
    if task.cancelled() or task.exception() is not None:
        return
    request = task.result()
    if request.is_new and request.grace == 0:
        current_runner().stop(request.answer_id)


async def _start(find: Callable[[], AnswerRequest]) -> AnswerRequest:
    runner = current_runner()
    try:
        process_id = await runner.ready()
        request = await run_in_db_thread(store.prepare, find, runner.liveness)
        if not request.is_new:
            return request
        grant = request.grant = await _reserve(request)
        try:
            await run_in_db_thread(store.create, request, grant, process_id)
        except errors.KeyReused:
            raise  # a concurrent send wrote that answer, and the reservation is its
        except BaseException:
            if grant.is_new:
                await _release(request)
            raise
    except DatabaseError as error:
        raise errors.DatabaseUnavailable from error
    if request.is_new:
        runner.start(Generation.of(request, grant))
        runner.readers.expect(request.answer_id, request.grace)
        notifications.publish_change(request.user.pk, request.answer.conversation_id)
    return request


async def _reserve(request: AnswerRequest) -> Grant:
    try:
        grant = await limiter.current().reserve(
            subject_of(request.user),
            request.rules,
            reservation_id=str(request.answer_id),
            tokens=request.tokens,
            cost=request.cost,
            min_tokens=request.prompt.tokens + MINIMUM_OUTPUT,
        )
    except errors.LimitExceeded as error:
        for violation in error.violations:
            metrics.decisions.labels(violation.name, "refused").inc()
        await run_in_db_thread(DailyUsage.objects.add_refusal, request.user.pk, request.model.name)
        raise
    for rule in request.rules:
        metrics.decisions.labels(rule.name, "degraded" if grant.degraded else "allowed").inc()
    return grant


async def _release(request: AnswerRequest) -> None:
    """Give the reservation back. Where the limiter does not answer, it expires by itself."""
    with suppress(errors.LimiterUnavailable):
        await limiter.current().settle(
            subject_of(request.user), reservation_id=str(request.answer_id), tokens=0, cost=0, refund_request=True
        )
