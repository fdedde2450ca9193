"""The generations of this process: start, stop, drain; its heartbeat; recovery of what dead processes left."""

from __future__ import annotations

import asyncio
import logging
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping

from django.db import DatabaseError, transaction

from chat import errors
from chat.answers import recovery
from chat.answers.generation import generate
from chat.answers.run import Job, Run
from chat.eventlog import EventLog, event_log
from chat.infra import frame_rate, notifications
from chat.infra.database_threads import run_in_db_thread
from chat.infra.notifications import Notification
from chat.infra.tasks import create_background_task
from chat.limits import limiter
from chat.models import Checkpoint, Message, Outcome, Status

logger = logging.getLogger(__name__)

TICK = 0.9  # and a checkpoint takes its time: killed, a process loses a second of text at most
HEARTBEAT_TICKS = 5
RENEW_SECONDS = 15.0
MOST_UNSAVED = 200

LISTENERS: list[Callable[[Notification], None]] = []
"""Called with every notice to all processes that is not about stopping an answer."""


class Runner:
    """Owns the running answers of one event loop."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.process_id = uuid.uuid4()
        self.closing = False
        self.roll = recovery.Roll()
        self._runs: dict[uuid.UUID, Run] = {}
        self._tasks: dict[uuid.UUID, asyncio.Task[Outcome | None]] = {}
        self._unsaved: dict[uuid.UUID, Outcome] = {}
        self._strays: set[uuid.UUID] = set()
        self._registered = False
        self._registering = asyncio.Lock()
        self._background: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Starts the ticker, and with it recovery; needs no database yet."""
        if not self._background and not self.closing:
            self._background = [
                create_background_task(self._tick_for_ever()),
                create_background_task(self._renew_for_ever()),
                create_background_task(notifications.listen(self._notice)),
                create_background_task(frame_rate.monitor()),
            ]

    async def ready(self) -> uuid.UUID:
        """The id of this process's row, made at first use. Raises `ShuttingDown`."""
        if self.closing:
            raise errors.ShuttingDown
        self.wake()
        async with self._registering:
            if not self._registered:
                await run_in_db_thread(recovery.register, self.process_id)
                self._registered = True
        return self.process_id

    def start(self, job: Job) -> None:
        run = Run(job=job, refused=self.closing)
        self.log.open(job.message_id)
        task = create_background_task(generate(run, self.log))
        self._runs[job.message_id] = run
        self._tasks[job.message_id] = task
        task.add_done_callback(lambda _task: self._forget(job.message_id, task))

    def _forget(self, message_id: uuid.UUID, task: asyncio.Task[Outcome | None]) -> None:
        self._runs.pop(message_id, None)
        self._tasks.pop(message_id, None)
        if task.cancelled() or task.exception() is not None:
            return
        if (outcome := task.result()) is not None and len(self._unsaved) < MOST_UNSAVED:
            self._unsaved[message_id] = outcome

    def count(self) -> int:
        return len(self._runs)

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
        """Refuses new work, interrupts what runs, waits for its saves and signs off."""
        self.closing = True
        await asyncio.sleep(0)
        for message_id, task in self._tasks.items():
            run = self._runs[message_id]
            if run.phase == "relaying" and not run.stopping:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        for background in self._background:
            background.cancel()
        if self._background:
            await asyncio.wait(self._background, timeout=1)
        try:
            await self._save_late()
            if self._registered and not self._tasks:
                await run_in_db_thread(recovery.unregister, self.process_id)
        except DatabaseError:
            logger.warning("could not sign off; the row of this process goes stale by itself")
        await self.log.close()

    def abandon(self) -> None:
        """Saves what runs without the event loop, as the very last thing a process does."""
        self.closing = True
        for run in list(self._runs.values()):
            status = Status.INTERRUPTED if run.text else Status.FAILED
            outcome = run.outcome(status, errors.Interrupted.code)
            if Message.objects.finish(outcome):
                recovery.settle(outcome)

    def _notice(self, notice: Notification) -> None:
        if notice["type"] == "stop":
            self.stop(uuid.UUID(notice["message_id"]))
            return
        for listener in LISTENERS:
            listener(notice)

    async def _tick_for_ever(self) -> None:
        loop, ticks = asyncio.get_running_loop(), 0
        due = loop.time()
        while True:
            try:
                await self._tick(ticks)
            except DatabaseError as error:
                logger.warning("checkpoint put off: %s", type(error).__name__)
            except Exception:
                logger.exception("tick broke; the next one tries again")
            due = max(due + TICK, loop.time())
            await asyncio.sleep(due - loop.time())
            ticks += 1

    async def _tick(self, ticks: int) -> None:
        await self._checkpoint()
        if ticks % HEARTBEAT_TICKS == 0:
            if self._registered:
                await run_in_db_thread(recovery.heartbeat, self.process_id)
            await self._save_late()
            await self._recover()

    async def _renew_for_ever(self) -> None:
        """Beside the ticker, for a database that is slow or away must not let leases run out."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await limiter.renew_many([_renewal(run) for run in self._runs.values()])
            except errors.LimiterUnavailable:
                logger.warning("lease renewal put off: the limiter is down")
            except Exception:
                logger.exception("lease renewal broke; the next one tries again")

    async def _checkpoint(self) -> None:
        if not self._runs:
            return
        changed = {
            message_id: (run.text, run.reasoning, run.first_token_at)
            for message_id, run in self._runs.items()
            if run.unsaved()
        }
        ended = await run_in_db_thread(_save_texts, self.process_id, changed, list(self._runs))
        for message_id, (text, reasoning, _at) in changed.items():
            if run := self._runs.get(message_id):
                run.saved = len(text) + len(reasoning)
        for message_id in ended:
            self.stop(message_id)

    async def _save_late(self) -> None:
        """Answers that were shown while the database was away."""
        for message_id, outcome in list(self._unsaved.items()):
            await run_in_db_thread(Message.objects.finish, outcome)
            self._unsaved.pop(message_id, None)
            await notifications.publish_change(outcome.user_id, outcome.conversation_id)

    async def _recover(self) -> None:
        """What dead processes left, and rows of our own that no task answers for at a second look."""
        mine = await run_in_db_thread(_rows_of, self.process_id) if self._registered else set()
        strays = mine - self._tasks.keys() - self._unsaved.keys()
        lost = strays & self._strays
        self._strays = strays - lost
        for outcome in await run_in_db_thread(recovery.recover, Message.objects.all(), self.roll, lost):
            await notifications.publish_change(outcome.user_id, outcome.conversation_id)
        await run_in_db_thread(recovery.settle_for_the_dead, self.roll)


_RUNNERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runner] = weakref.WeakKeyDictionary()


def current() -> Runner:
    """The runner of the running event loop."""
    loop = asyncio.get_running_loop()
    runner = _RUNNERS.get(loop)
    if runner is None:
        runner = _RUNNERS[loop] = Runner(event_log())
    return runner


def abandon_all() -> None:
    """For the end of a process whose event loop cannot be reached any more."""
    for runner in list(_RUNNERS.values()):
        runner.abandon()


def _renewal(run: Run) -> limiter.Renewal:
    job, tokens = run.job, run.tokens_so_far()
    cost = job.price.cost(job.prompt_tokens, tokens - job.prompt_tokens) if job.price else 0
    return limiter.Renewal(subject=job.subject, rules=job.rules, lease_id=str(job.message_id), tokens=tokens, cost=cost)


def _save_texts(
    process_id: uuid.UUID, changed: Mapping[uuid.UUID, Checkpoint], running: Iterable[uuid.UUID]
) -> list[uuid.UUID]:
    """One transaction for all texts; returns the answers that are to end: stopped, deleted, person deactivated."""
    if changed:
        with transaction.atomic():
            Message.objects.save_checkpoints(process_id, changed)
    mine = Message.objects.running().filter(owner=process_id)
    wanted = set(
        mine.filter(
            pk__in=running, stop_requested=False, conversation__deleted_at=None, conversation__user__is_active=True
        ).values_list("pk", flat=True)
    )
    return [message_id for message_id in running if message_id not in wanted]


def _rows_of(process_id: uuid.UUID) -> set[uuid.UUID]:
    return set(Message.objects.running().filter(owner=process_id).values_list("pk", flat=True))
