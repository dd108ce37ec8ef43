"""Tells how jobs ended: a result exactly once, bad news at least once, whatever the network does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection

from bot.domain.job import Job, JobStatus
from bot.domain.sentence import say
from bot.errors import StoreError
from bot.services.library import Library
from bot.services.progress import ProgressFeeds
from bot.services.sink import MessageSink, Picture, SinkGone, SinkRefused
from bot.services.steps import Step, reached
from bot.store import jobs, library
from bot.store.database import Database

_log = logging.getLogger(__name__)
RETRY_S = 5.0
AT_ONCE = 8
"""Messages under way together."""
REFUSALS = 3
"""After so many of a message it is given up: what Discord refuses thrice it refuses for ever."""
REFUSED_AT = 2
"""A refusal is waited out like a failure of this many tries more: it may be somebody's wrong click."""
GONE = "The place it was asked for no longer exists."
CANCELLED = say("Cancelled. It cost you nothing.")


def exponential(sends: int) -> float:
    """Seconds to wait after the ``sends``-th attempt: 1, 2, 4 ... five minutes."""
    return min(300.0, 2.0 ** min(sends - 1, 9))


class Outbox:
    """``rendered -> posting -> posted`` through the sink; failed and cancelled jobs are told.

    ``posting`` is committed before a send and the message id after it. Whoever finds ``posting`` (after a
    crash, or after a send that raised) looks for the message before sending again.
    """

    def __init__(
        self,
        database: Database,
        files: Library,
        sink: MessageSink,
        feeds: ProgressFeeds,
        *,
        backoff: Callable[[int], float] = exponential,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._files = files
        self._sink = sink
        self._feeds = feeds
        self._backoff = backoff
        self._clock = clock
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._busy: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There may be something to tell."""
        self._news.set()

    def stop(self) -> None:
        """Begin nothing more; ``run`` returns when the messages under way are out."""
        self._stopping.set()
        self._news.set()

    async def run(self) -> None:
        """Work until ``stop``."""
        self.wake()
        while not self._stopping.is_set():
            await self._news.wait()
            self._news.clear()
            if not self._stopping.is_set():
                await self._begin()
        await asyncio.gather(*self._busy.values())

    async def _begin(self) -> None:
        try:
            owed = await self._database.read(jobs.owed)
        except StoreError:
            _log.exception("the outbox cannot be read; trying again in %g s", RETRY_S)
            asyncio.get_running_loop().call_later(RETRY_S, self.wake)
            return
        for job in owed:
            if job.id not in self._busy:
                task = asyncio.create_task(self._deliver(job.id), name=f"deliver {job.id}")
                self._busy[job.id] = task
                task.add_done_callback(lambda _, job_id=job.id: self._busy.pop(job_id, None))  # type: ignore[misc]

    async def _deliver(self, job_id: str) -> None:
        """Try until it is told, the place is gone, or the bot stops."""
        tries = refusals = 0
        while not self._stopping.is_set():
            tries += 1
            try:
                async with self._room:
                    if not self._stopping.is_set():
                        await self._attempt_or_give_up(job_id, last=refusals + 1 >= REFUSALS)
                return
            except SinkRefused as error:
                refusals += 1
                _log.warning("job %s was refused: %s", job_id, error)
            except Exception:
                _log.warning("job %s could not be told; trying again", job_id, exc_info=True)
            await self._wait(self._backoff(tries + REFUSED_AT * bool(refusals)))

    async def _attempt_or_give_up(self, job_id: str, *, last: bool) -> None:
        try:
            await self._attempt(job_id)
        except SinkGone as error:
            _log.info("job %s is given up: %s", job_id, error)
            await self._give_up(job_id, GONE)
        except SinkRefused as error:
            if not last:
                raise
            _log.warning("job %s is given up, refused %d times: %s", job_id, REFUSALS, error)
            await self._give_up(job_id, f"It could not be posted: {error}")

    async def _attempt(self, job_id: str) -> None:
        await self._feeds.stop(job_id)
        # It may have been told since the list was read that it stood on.
        job = await self._database.read(lambda connection: jobs.find_owed(connection, job_id))
        if job is None:
            return
        if job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            await self._sink.tell(job, job.error or CANCELLED)
            await self._change(job_id, told=True)
        else:
            await self._post(job)

    async def _post(self, job: Job) -> None:
        found = await self._sink.find_posted(job) if job.status is JobStatus.POSTING else None
        if found is None:
            await self._database.write(
                lambda connection: jobs.move(
                    connection,
                    job.id,
                    JobStatus.POSTING,
                    sources=(JobStatus.RENDERED, JobStatus.POSTING),
                    posting_at=self._clock(),
                )
            )
            reached(Step.POSTING, job.id)
            found = await self._sink.post(job, await self._pictures(job.id))
            reached(Step.SENT, job.id)
        await self._posted(job.id, found)

    async def _posted(self, job_id: str, message_id: int | None) -> None:
        await self._database.write(
            lambda connection: jobs.move(
                connection,
                job_id,
                JobStatus.POSTED,
                sources=(JobStatus.RENDERED, JobStatus.POSTING),
                result_message_id=message_id,
                told=True,
                token=None,
            )
        )
        reached(Step.POSTED, job_id)

    async def _give_up(self, job_id: str, reason: str) -> None:
        """Nothing is owed any more; the pictures stay, and what they cost."""

        def work(connection: Connection) -> None:
            jobs.move(
                connection,
                job_id,
                JobStatus.POSTED,
                sources=(JobStatus.RENDERED, JobStatus.POSTING),
                error=reason,
            )
            jobs.change(connection, job_id, told=True, token=None)

        await self._database.write(work)

    async def _pictures(self, job_id: str) -> tuple[Picture, ...]:
        rows = await self._database.read(lambda connection: library.of_job(connection, job_id))
        return tuple(self._files.picture(row) for row in rows)

    async def _change(self, job_id: str, *, told: bool) -> None:
        await self._database.write(lambda connection: jobs.change(connection, job_id, told=told, token=None))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
