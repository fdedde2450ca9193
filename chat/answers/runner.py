"""The running generations of a process: start, stop, checkpoints, heartbeat, recovery of others, orderly end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterable, Mapping

from django.db import DatabaseError, transaction

from chat import errors
from chat.answers import liveness, recovery
from chat.answers.disconnect import Readers
from chat.answers.generation import Generation
from chat.answers.relay import generate
from chat.eventlog import EventLog, event_log
from chat.infra import notifications
from chat.infra.database_threads import run_in_db_thread
from chat.infra.frame_rate import frame_rate
from chat.infra.notifications import Notification
from chat.infra.process import process
from chat.infra.tasks import create_background_task
from chat.limits import limiter
from chat.models import Checkpoint, Message, Outcome, Status

logger = logging.getLogger(__name__)

CHECKPOINT_INTERVAL = 0.9
"""Seconds. With the time a checkpoint takes, a process that is killed loses at most one second of text."""
TICKS_PER_HEARTBEAT = 5
RENEW_INTERVAL = 15.0
MAX_UNSAVED = 200


class Runner:
    """Owns the running generations of one event loop, and the readers of answers."""

    def __init__(self, log: EventLog) -> None:
        self.process_id = uuid.uuid4()
        self.closing = False
        self.liveness = liveness.Liveness()
        self.readers = Readers(self, log)
        self._log = log
        self._generations: dict[uuid.UUID, Generation] = {}
        self._tasks: dict[uuid.UUID, asyncio.Task[Outcome | None]] = {}
        self._unsaved: dict[uuid.UUID, Outcome] = {}
        """Outcomes that the database did not accept when they ended."""
        self._orphans: set[uuid.UUID] = set()
        """Own running rows that had no task at the last check."""
        self._registered = False
        self._registering = asyncio.Lock()
        self._background: list[asyncio.Task[None]] = []

    def start_background(self) -> None:
        """Start checkpoints, heartbeats and recovery; needs no database yet."""
        if not self._background and not self.closing:
            self._background = [
                create_background_task(self._tick_until_cancelled()),
                create_background_task(self._renew_until_cancelled()),
                create_background_task(notifications.listen(self._handle_notification)),
                create_background_task(frame_rate().monitor()),
            ]

    async def ready(self) -> uuid.UUID:
        """The id of this process's row, which the first call writes. Raises `ShuttingDown`."""
        if self.closing:
            raise errors.ShuttingDown
        if not self._registered:
            self.start_background()
            async with self._registering:
                if not self._registered:
                    await run_in_db_thread(liveness.register, self.process_id)
                    self._registered = True
        return self.process_id

    def start(self, generation: Generation) -> None:
        message_id = generation.message_id
        generation.refused = self.closing
        self._log.open(message_id)
        task = create_background_task(generate(generation, self._log))
        self._generations[message_id] = generation
        self._tasks[message_id] = task
        task.add_done_callback(lambda _task: self._forget(message_id, task))

    def _forget(self, message_id: uuid.UUID, task: asyncio.Task[Outcome | None]) -> None:
        self._generations.pop(message_id, None)
        self._tasks.pop(message_id, None)
        self.readers.forget(message_id)
        if task.cancelled() or task.exception() is not None:
            return
        if (outcome := task.result()) is not None and len(self._unsaved) < MAX_UNSAVED:
            self._unsaved[message_id] = outcome

    def __len__(self) -> int:
        return len(self._generations)

    def owns(self, message_id: uuid.UUID) -> bool:
        return message_id in self._tasks

    def stop(self, message_id: uuid.UUID) -> bool:
        """Stop one generation, as asked by its user; False if it does not run here."""
        generation, task = self._generations.get(message_id), self._tasks.get(message_id)
        if generation is None or task is None:
            return False
        if not generation.stopping:
            generation.stopping = True
            if generation.phase == "relaying":
                task.cancel()
        return True

    async def wait(self, message_id: uuid.UUID) -> None:
        """Wait until this generation is saved and settled."""
        if task := self._tasks.get(message_id):
            await asyncio.wait({task})

    async def drain(self, seconds: float = 5.0) -> None:
        """Refuse new work, interrupt what runs, wait so many seconds for its saves, and delete this process's row."""
        self.closing = True
        await asyncio.sleep(0)  # tasks that are new get their first step
        for message_id, task in self._tasks.items():
            generation = self._generations[message_id]
            if generation.phase == "relaying" and not generation.stopping:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        for background in self._background:
            background.cancel()
        if self._background:
            await asyncio.wait(self._background, timeout=1)
        self._background = []
        try:
            await self._save_late()
            if self._registered and not self._tasks:
                await run_in_db_thread(liveness.unregister, self.process_id)
                self._registered = False
        except DatabaseError:
            logger.warning("the row of this process could not be deleted; it becomes stale by itself")
        await self.readers.close()
        await self._log.close()

    async def close(self) -> None:
        """As part of the process: drain, unless that was done."""
        if not self.closing:
            await self.drain()

    def save_all(self) -> None:
        """Save what runs without an event loop: the last action of a process whose loop has ended."""
        self.closing = True
        for generation in list(self._generations.values()):
            status = Status.INTERRUPTED if generation.text else Status.FAILED
            outcome = generation.outcome(status, errors.Interrupted.code)
            if Message.objects.finish(outcome):
                recovery.settle(outcome)

    def _handle_notification(self, notification: Notification) -> None:
        if notification["type"] == notifications.STOP:
            self.stop(uuid.UUID(notification["message_id"]))
        else:
            self.readers.handle(notification)

    async def _tick_until_cancelled(self) -> None:
        loop, ticks = asyncio.get_running_loop(), 0
        due = loop.time()
        while True:
            try:
                await self._tick(ticks)
            except DatabaseError as error:
                logger.warning("a checkpoint failed and is repeated: %s", type(error).__name__)
            except Exception:
                logger.exception("a checkpoint failed and is repeated")
            due = max(due + CHECKPOINT_INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())
            ticks += 1

    async def _tick(self, ticks: int) -> None:
        await self._checkpoint()
        if ticks % TICKS_PER_HEARTBEAT == 0:
            if self._registered:
                await run_in_db_thread(liveness.heartbeat, self.process_id)
            await self._save_late()
            await self._recover()

    async def _renew_until_cancelled(self) -> None:
        """Apart from the checkpoints: a database that is slow or away must not let reservations expire."""
        while True:
            await asyncio.sleep(RENEW_INTERVAL)
            try:
                await limiter.current().renew([_renewal(generation) for generation in self._generations.values()])
            except errors.LimiterUnavailable:
                logger.warning("renewing reservations is repeated later: the limiter is unavailable")
            except Exception:
                logger.exception("renewing reservations failed and is repeated")

    async def _checkpoint(self) -> None:
        """Save the text of running answers, and stop those that were stopped or deleted elsewhere."""
        if not self._generations:
            return
        changed = {
            message_id: (generation.text, generation.reasoning, generation.first_token_at)
            for message_id, generation in self._generations.items()
            if generation.has_unsaved_text()
        }
        to_stop = await run_in_db_thread(_save_texts, self.process_id, changed, list(self._generations))
        for message_id, (text, reasoning, _first_token_at) in changed.items():
            if generation := self._generations.get(message_id):
                generation.saved_length = len(text) + len(reasoning)
        for message_id in to_stop:
            self.stop(message_id)

    async def _save_late(self) -> None:
        """Save answers that ended while the database was away."""
        for message_id, outcome in list(self._unsaved.items()):
            await run_in_db_thread(Message.objects.finish, outcome)
            self._unsaved.pop(message_id, None)
            notifications.publish_change(outcome.user_id, outcome.conversation_id)

    async def _recover(self) -> None:
        """End answers of dead processes, and own rows that twice in a row had no task."""
        own = await run_in_db_thread(_running_rows, self.process_id) if self._registered else set()
        orphans = own - self._tasks.keys() - self._unsaved.keys()
        lost = orphans & self._orphans
        self._orphans = orphans - lost
        for outcome in await run_in_db_thread(recovery.recover, Message.objects.all(), self.liveness, lost):
            notifications.publish_change(outcome.user_id, outcome.conversation_id)
        await run_in_db_thread(recovery.settle_dead_processes, self.liveness)


def create_runner() -> Runner:
    return Runner(event_log())


def current_runner() -> Runner:
    """The runner of the running event loop."""
    return process.loop_part(create_runner)


def save_all() -> None:
    """For the end of a process whose event loop has ended or cannot be reached."""
    for runner in process.loop_parts_of(create_runner):
        runner.save_all()


def _renewal(generation: Generation) -> limiter.Renewal:
    tokens, cost = generation.usage_so_far()
    return limiter.Renewal(
        subject=generation.subject,
        rules=generation.rules,
        reservation_id=str(generation.message_id),
        tokens=tokens,
        cost=cost,
    )


def _save_texts(
    process_id: uuid.UUID, changed: Mapping[uuid.UUID, Checkpoint], running: Iterable[uuid.UUID]
) -> list[uuid.UUID]:
    """Save all texts in one transaction; returns the answers to stop: stopped, deleted, or their user deactivated."""
    if changed:
        with transaction.atomic():
            Message.objects.save_checkpoints(process_id, changed)
    wanted = set(
        Message.objects.running()
        .filter(
            owner=process_id,
            pk__in=running,
            stop_requested=False,
            conversation__deleted_at=None,
            conversation__user__is_active=True,
        )
        .values_list("pk", flat=True)
    )
    return [message_id for message_id in running if message_id not in wanted]


def _running_rows(process_id: uuid.UUID) -> set[uuid.UUID]:
    return set(Message.objects.running().filter(owner=process_id).values_list("pk", flat=True))
