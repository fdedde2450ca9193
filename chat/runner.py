"""The generations of this process: start, stop, drain; its heartbeat; recovery of what dead processes left."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import uuid
import weakref
from collections.abc import Coroutine, Iterable
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from chat import errors
from chat.eventlog import EventLog, event_log
from chat.generation import Job, Run, abandoned, generate
from chat.limits import limiter
from chat.models import Message, ModelPrice, ServerProcess, Status
from chat.threads import in_database

logger = logging.getLogger(__name__)

TICK = 1.0
HEARTBEAT_TICKS = 5
RENEW_TICKS = 15


class Runner:
    """Owns the running answers of one event loop."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.process_id = uuid.uuid4()
        self.closing = False
        self._runs: dict[uuid.UUID, Run] = {}
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._registering = asyncio.Lock()

    async def ready(self) -> uuid.UUID:
        """The id of this process's row, made at first use. Raises `ShuttingDown`."""
        if self.closing:
            raise errors.ShuttingDown
        async with self._registering:
            if self._ticker is None:
                await in_database(_register, self.process_id)
                self._ticker = detached(self._tick_for_ever())
        return self.process_id

    def start(self, job: Job) -> None:
        run = Run(job=job)
        self.log.open(job.message_id)
        task = detached(generate(run, self.log))
        self._runs[job.message_id] = run
        self._tasks[job.message_id] = task
        task.add_done_callback(lambda _task: self._forget(job.message_id))

    def _forget(self, message_id: uuid.UUID) -> None:
        self._runs.pop(message_id, None)
        self._tasks.pop(message_id, None)

    def owns(self, message_id: uuid.UUID) -> bool:
        return message_id in self._tasks

    def stop(self, message_id: uuid.UUID) -> bool:
        """Ends one generation as stopped by its person; False if it is not ours."""
        run, task = self._runs.get(message_id), self._tasks.get(message_id)
        if run is None or task is None:
            return False
        if not run.stopping:
            run.stopping = True
            if run.phase == "relaying":
                task.cancel()
        return True

    async def wait(self, message_id: uuid.UUID) -> None:
        """Until this generation is saved and settled."""
        if task := self._tasks.get(message_id):
            await asyncio.wait({task})

    async def drain(self, seconds: float = 5.0) -> None:
        """Refuses new work, interrupts what runs and waits for its saves."""
        self.closing = True
        tasks = list(self._tasks.values())
        await asyncio.sleep(0)
        for message_id, task in self._tasks.items():
            run = self._runs[message_id]
            if run.phase == "relaying" and not run.stopping:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
            try:
                await in_database(_unregister, self.process_id)
            except DatabaseError:
                logger.warning("could not sign off; the row of this process goes stale by itself")

    async def _tick_for_ever(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            try:
                await self._checkpoint()
                if ticks % HEARTBEAT_TICKS == 0:
                    await in_database(_heartbeat, self.process_id)
                    await self._recover()
                if ticks % RENEW_TICKS == 0:
                    await self._renew()
            except DatabaseError as error:
                logger.warning("checkpoint put off: %s", type(error).__name__)
            except errors.LimiterDown:
                logger.warning("lease renewal put off: the limiter is down")
            except Exception:
                logger.exception("tick broke; the next one tries again")

    async def _checkpoint(self) -> None:
        if not self._runs:
            return
        changed = {
            message_id: (run.text, run.reasoning, run.first_token_at)
            for message_id, run in self._runs.items()
            if run.unsaved()
        }
        ended = await in_database(_save_texts, self.process_id, changed, list(self._runs))
        for message_id, (text, reasoning, _at) in changed.items():
            if run := self._runs.get(message_id):
                run.saved = len(text) + len(reasoning)
        for message_id in ended:
            self.stop(message_id)

    async def _renew(self) -> None:
        await limiter.renew_many([_renewal(run) for run in self._runs.values()])

    async def _recover(self) -> None:
        for outcome in await in_database(recover, self.process_id):
            await limiter.settle(
                f"user:{outcome.user_id}",
                (),
                lease_id=str(outcome.message_id),
                tokens=outcome.prompt_tokens + outcome.completion_tokens,
                cost=outcome.cost or 0,
            )


_TASKS: set[asyncio.Task[Any]] = set()
_RUNNERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runner] = weakref.WeakKeyDictionary()


def detached(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that outlives the request it was started from and shares nothing with it."""
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return task


def current() -> Runner:
    """The runner of the running event loop."""
    loop = asyncio.get_running_loop()
    runner = _RUNNERS.get(loop)
    if runner is None:
        runner = _RUNNERS[loop] = Runner(event_log())
    return runner


def _renewal(run: Run) -> limiter.Renewal:
    job, tokens = run.job, run.tokens_so_far()
    cost = job.price.cost(job.prompt_tokens, tokens - job.prompt_tokens) if job.price else 0
    return limiter.Renewal(
        subject=job.subject, rules=job.rules, lease_id=str(job.message_id), tokens=tokens, cost=cost
    )


def _register(process_id: uuid.UUID) -> None:
    ServerProcess.objects.create(pk=process_id, host=socket.gethostname(), pid=os.getpid())


def _unregister(process_id: uuid.UUID) -> None:
    ServerProcess.objects.filter(pk=process_id).delete()


def _heartbeat(process_id: uuid.UUID) -> None:
    now = timezone.now()
    _row, created = ServerProcess.objects.update_or_create(
        pk=process_id, defaults={"heartbeat_at": now, "host": socket.gethostname(), "pid": os.getpid()}
    )
    if created:
        logger.warning("the row of this process was gone; made anew")
    ServerProcess.objects.filter(heartbeat_at__lt=now - 10 * ServerProcess.STALE_AFTER, messages=None).delete()


Checkpoint = tuple[str, str, Any]


def _save_texts(
    process_id: uuid.UUID, changed: dict[uuid.UUID, Checkpoint], running: Iterable[uuid.UUID]
) -> list[uuid.UUID]:
    """One transaction for all texts; returns the answers that are to end: stopped, deleted, person deactivated."""
    mine = Message.objects.running().filter(owner=process_id)
    with transaction.atomic():
        for message_id, (text, reasoning, first_token_at) in changed.items():
            mine.filter(pk=message_id).update(
                status=Status.STREAMING, content=text, reasoning=reasoning, first_token_at=first_token_at
            )
    wanted = set(
        mine.filter(
            pk__in=running, stop_requested=False, conversation__deleted_at=None, conversation__user__is_active=True
        ).values_list("pk", flat=True)
    )
    return [message_id for message_id in running if message_id not in wanted]


def _is_dead(process: ServerProcess | None) -> bool:
    """Without a heartbeat for `STALE_AFTER`, or a process of this host that is no more."""
    if process is None:
        return True
    if timezone.now() - process.heartbeat_at > ServerProcess.STALE_AFTER:
        return True
    if process.host != socket.gethostname():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def recover(own: uuid.UUID | None = None) -> list[Any]:
    """Closes running answers whose process is gone and returns their outcomes; live ones are not touched."""
    orphans = (
        Message.objects.running()
        .filter(~Q(owner=own) | Q(owner=None) if own else Q())
        .select_related("conversation", "owner")
        .order_by("created_at")
    )
    closed = []
    for message in orphans:
        if not _is_dead(message.owner):
            continue
        outcome = abandoned(message, ModelPrice.objects.at(message.model, message.created_at))
        if Message.objects.finish(outcome):
            closed.append(outcome)
    return closed
