"""Commits how jobs end, before anyone is told: files, rows and the ledger."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from PIL import Image
from sqlalchemy import Connection

from bot.config import Settings
from bot.domain.job import JobStatus
from bot.domain.sentence import Sentence, dumped, say, sentence_of
from bot.errors import StoreError
from bot.services.library import Library
from bot.services.steps import Step, reached
from bot.store import accounts, jobs, library
from bot.store.database import Database
from bot.store.library import ImageRow
from engine.api import EngineError, GenerationSpec

T = TypeVar("T")
_log = logging.getLogger(__name__)
MOST_KILLS = 10
"""Deaths without a trace that a job survives: kill -9 is an operator's, unless it follows the job around."""


class Recorder:
    """Each verb is one transaction and may be repeated. ``ended`` hears of jobs that are owed an answer."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        files: Library,
        *,
        ended: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        retry_after: float = 5.0,
    ) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._ended = ended
        self._clock = clock
        self._retry_after = retry_after
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Stop waiting for full disks: what is not recorded stays running, painted again after a start."""
        self._closing.set()

    async def finished(
        self, job_id: str, spec: GenerationSpec, pictures: Sequence[Image.Image], gpu_seconds: float
    ) -> bool:
        """Keep the pictures and settle; waits while the disk is full. Cancelled jobs leave nothing.

        False: the bot closed before it could be done.
        """
        reached(Step.FINISHED, job_id)
        return await self._patiently(lambda: self._keep(job_id, spec, pictures, gpu_seconds)) or False

    async def failed(self, job_id: str, error: EngineError, *, retryable: bool) -> bool:
        """Back into the queue (True) while attempts are left, else fail with its sentence and refund."""
        sentence = say("{error} It cost you nothing.", error=_whole(sentence_of(error)))

        async def settle() -> bool:
            if retryable and await self._try_again(job_id):
                return True
            await self.end(job_id, JobStatus.FAILED, sentence)
            return False

        return await self._patiently(settle) or False

    async def end(self, job_id: str, status: JobStatus, sentence: str | None = None) -> bool:
        """Fail or cancel an unfinished job and give its quota back; False when it is past that."""
        now = self._clock()
        moved = await self._database.write(lambda connection: _end(connection, job_id, status, sentence, now))
        if moved:
            reached(Step.REFUNDED, job_id)
            self._ended()
        return moved

    async def recover(self, *, crashed: bool) -> None:
        """After a death: interrupted jobs go back into the queue, those there too often are failed.

        ``crashed`` says that the engine or the process broke by itself, which counts as an attempt of each
        job it held. A death without a trace is counted apart, with a limit of its own.
        """
        most, now = self._settings.limits.attempts, self._clock()

        def work(connection: Connection) -> None:
            for job in jobs.in_status(connection, JobStatus.RUNNING):
                if crashed and job.attempts >= most:
                    _end(connection, job.id, JobStatus.FAILED, _gave_up(job.attempts), now)
                elif crashed:
                    jobs.move(connection, job.id, JobStatus.QUEUED)
                elif job.kills + 1 >= MOST_KILLS:
                    _end(connection, job.id, JobStatus.FAILED, _killed(MOST_KILLS), now)
                else:
                    before = max(0, job.attempts - 1)
                    jobs.move(connection, job.id, JobStatus.QUEUED, attempts=before, kills=job.kills + 1)

        await self._database.write(work)
        self._ended()

    async def release(self, job_ids: Sequence[str]) -> None:
        """Put jobs that a clean stop interrupts back into the queue, their attempt not counted."""

        def work(connection: Connection) -> None:
            for job_id in job_ids:
                job = jobs.find(connection, job_id)
                if job is not None:
                    before = max(0, job.attempts - 1)
                    jobs.move(
                        connection, job_id, JobStatus.QUEUED, sources=[JobStatus.RUNNING], attempts=before
                    )

        await self._database.write(work)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat what a full or failing disk refuses until it is done; None when the bot closes first."""
        while True:
            try:
                return await work()
            except (OSError, StoreError):
                _log.exception("the end of a job cannot be written; trying again")
            if await self._stopped():
                return None

    async def _keep(
        self, job_id: str, spec: GenerationSpec, pictures: Sequence[Image.Image], gpu_seconds: float
    ) -> bool:
        job = await self._database.read(lambda connection: jobs.find(connection, job_id))
        if job is None or job.status is not JobStatus.RUNNING:
            return True
        rows = await self._files.keep(job, spec, pictures)
        reached(Step.FILES_WRITTEN, job_id)
        if await self._database.write(lambda connection: self._render(connection, job_id, rows, gpu_seconds)):
            reached(Step.RENDERED, job_id)
            self._ended()
        else:
            await self._files.remove(row.file for row in rows)
        return True

    def _render(
        self, connection: Connection, job_id: str, rows: tuple[ImageRow, ...], gpu_seconds: float
    ) -> bool:
        now = self._clock()
        if not jobs.move(connection, job_id, JobStatus.RENDERED, gpu_seconds=gpu_seconds, finished_at=now):
            return False
        library.add(connection, rows)
        price = jobs.intake(connection, job_id).price
        accounts.settle(connection, job_id, gpu_seconds * price)
        return True

    async def _try_again(self, job_id: str) -> bool:
        most = self._settings.limits.attempts

        def work(connection: Connection) -> bool:
            job = jobs.find(connection, job_id)
            return job is not None and job.attempts < most and jobs.move(connection, job_id, JobStatus.QUEUED)

        return await self._database.write(work)

    async def _stopped(self) -> bool:
        try:
            async with asyncio.timeout(self._retry_after):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True


def _end(connection: Connection, job_id: str, status: JobStatus, sentence: str | None, now: float) -> bool:
    kept = None if sentence is None else dumped(sentence)
    moved = jobs.move(connection, job_id, status, error=kept, finished_at=now)
    if moved:
        accounts.refund(connection, job_id)
    return moved


def _whole(said: str) -> str:
    """With a full stop at its end."""
    return said if said.endswith(".") else say("{sentence}.", sentence=said)


def _gave_up(count: int) -> Sentence:
    return say("It stopped the engine {count} times, so it is given up. It cost you nothing.", count=count)


def _killed(count: int) -> Sentence:
    return say(
        "I was ended {count} times while I painted it, so it is given up. It cost you nothing.", count=count
    )
