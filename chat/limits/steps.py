"""One verb, written once as a generator of steps, run by plain code or on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import DatabaseError

from chat import errors
from chat.infra.database_threads import run_in_db_thread

T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A call to the store, or to the database; a `remote` one may block."""

    call: Callable[[], Any]
    database: bool = False
    remote: bool = False


Steps = Generator[Step, Any, T]

_threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="limits")


def run(steps: Steps[T]) -> T:
    try:
        step = next(steps)
        while True:
            try:
                result = _database(step) if step.database else step.call()
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


async def drive(steps: Steps[T]) -> T:
    try:
        step = next(steps)
        while True:
            try:
                if step.database:
                    result = await run_in_db_thread(_database, step)
                elif step.remote:
                    result = await asyncio.get_running_loop().run_in_executor(_threads, step.call)
                else:
                    result = step.call()
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


def _database(step: Step) -> Any:
    try:
        return step.call()
    except DatabaseError as error:
        raise errors.DatabaseUnavailable from error
