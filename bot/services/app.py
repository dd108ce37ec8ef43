"""Wiring of the services, and the few verbs that front ends use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.config import Settings
from bot.domain.job import Job, Requester
from bot.services.admission import Admission
from bot.services.dispatcher import Dispatcher
from bot.services.library import Library
from bot.services.outbox import Outbox
from bot.services.quotas import Quotas
from bot.services.recorder import Recorder
from bot.services.sink import MessageSink, Picture
from bot.store.database import Database
from engine.api import Engine


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """Jobs by where they stand, for metrics, readiness and /info."""

    queued: int
    running: int
    owed: int
    """Rendered or being posted."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a front end needs. Made by ``open_services``; ``run`` works until ``drain`` or ``close``."""

    settings: Settings
    engine: Engine
    database: Database
    library: Library
    admission: Admission
    dispatcher: Dispatcher
    recorder: Recorder
    outbox: Outbox
    quotas: Quotas

    async def run(self) -> None:
        """Start the engine and work until drained; raises EngineStartError, or EngineError when it broke."""

    async def drain(self, timeout: float = 25.0) -> None:
        """Admit nothing new, let posts under way end, leave the rows; ``run`` returns within ``timeout`` seconds."""

    async def close(self) -> None:
        """Close the engine and the database; safe to call twice."""

    async def job(self, job_id: str) -> Job | None:
        """The job as its row says now, or None."""

    async def pictures(self, job_id: str) -> tuple[Picture, ...]:
        """The stored pictures by index; files that are gone are left out."""

    async def cancel(self, job_id: str, requester: Requester) -> Job:
        """Owner or admin: drop a queued or running job, quota given back; UserError when it is too late."""

    async def delete(self, job_id: str, requester: Requester) -> Job:
        """Owner or admin: remove files and content, quota not given back; returns the job as it was."""

    async def attach_message(self, job_id: str, message_id: int) -> None:
        """Remember the waiting message, so that progress and the end of the job can find it after a restart."""

    async def wait_estimate(self, job_id: str) -> tuple[int, float]:
        """Jobs ahead of it and expected seconds until it is finished."""

    async def queue(self) -> QueueFacts:
        """Counts over all users."""


async def open_services(
    settings: Settings, engine: Engine, sink: MessageSink, *, clock: Callable[[], float] = time.time
) -> Services:
    """Open the data folder (StoreError), bring interrupted jobs back into the queue, wire everything.

    The engine is started by ``run``, not here; orders may be admitted before.
    """
