"""Wiring of the services, and the few verbs that front ends use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from bot.config import Settings
from bot.domain import policy
from bot.domain.job import UNFINISHED, Job, JobStatus, Requester
from bot.domain.sentence import say
from bot.errors import EngineStartError, NotAllowed, UserError
from bot.services import blackbox, specs
from bot.services.admission import Admission, discard_inputs
from bot.services.adoption import Adoption, Remains
from bot.services.backlog import Backlog
from bot.services.batches import Batches
from bot.services.describer import Describer
from bot.services.dispatcher import Dispatcher
from bot.services.fetcher import Fetcher
from bot.services.history import History
from bot.services.library import Library
from bot.services.outbox import CANCELLED, Outbox, exponential
from bot.services.preferences import PreferenceBook
from bot.services.privacy import Privacy
from bot.services.progress import ProgressFeeds
from bot.services.quotas import Quotas
from bot.services.recorder import Recorder
from bot.services.sink import MessageSink, Picture
from bot.store import favourites, jobs, library
from bot.store.database import Database
from engine.api import Engine, EngineError

GONE = say("That picture no longer exists; start anew with /imagine.")


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
    feeds: ProgressFeeds
    backlog: Backlog
    fetcher: Fetcher
    drained: asyncio.Event
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    loading: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the engine loads its models."""

    @property
    def batches(self) -> Batches:
        """Orders of several jobs at once."""
        return Batches(self.settings, self.database, self.admission, self.quotas, self.backlog)

    async def favourite(self, job_id: str, index: int, user_id: int) -> tuple[bool, int]:
        """Put a picture among a user's favourites, or take it out: whether it is one, and of how many."""
        now = self.quotas.clock()

        def work(connection: Connection) -> tuple[bool, int] | None:
            rows = [row for row in library.of_job(connection, job_id) if row.index == index]
            if not rows:
                return None
            kept = favourites.toggle(connection, user_id, rows[0].id, now)
            return kept, favourites.admirers(connection, rows[0].id)

        found = await self.database.write(work)
        if found is None:
            raise UserError(GONE)
        return found

    async def adopt(self, job_id: str, remains: Remains) -> Job | None:
        """A job whose row is gone, from what its message still shows; None where that tells nothing."""
        return await Adoption(self.database, self.library).adopt(job_id, remains)

    @property
    def history(self) -> History:
        """What was painted, found again."""
        return History(self.database, self.library)

    @property
    def describer(self) -> Describer:
        """Prompts for pictures."""
        caption = None if self.engine.captioning() else self.engine.caption
        return Describer(self.settings, self.engine.models, caption)

    @property
    def privacy(self) -> Privacy:
        """What is stored of users."""
        return Privacy(self.database, self.library, self.cancel, self.quotas.clock)

    @property
    def preferences(self) -> PreferenceBook:
        """What users settled once."""
        return PreferenceBook(self.settings, self.database)

    async def run(self) -> None:
        """Start the engine and work until drained; raises EngineStartError, or EngineError when it broke."""
        self.drained.clear()
        try:
            await self._work()
        finally:
            self.drained.set()

    async def _work(self) -> None:
        outbox = asyncio.create_task(self.outbox.run(), name="outbox")
        painter = asyncio.create_task(self._paint(), name="dispatcher")
        try:
            await asyncio.wait((outbox, painter), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Whichever ended, the other must leave its rows in order; neither is cancelled inside the sink.
            self._stop()
            results = await asyncio.gather(outbox, painter, return_exceptions=True)
            await self.feeds.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _paint(self) -> None:
        """What was rendered before a restart is told while the engine still loads its models."""
        self.loading.set()
        starting = asyncio.create_task(self.engine.start(), name="engine start")
        starting.add_done_callback(lambda _: self.loading.clear())
        stopping = asyncio.create_task(self.stopping.wait(), name="stopping")
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()  # A model may load for minutes, and nothing of it is worth waiting for.
            await asyncio.gather(starting, return_exceptions=True)
            return
        try:
            await starting
        except EngineError as error:
            raise EngineStartError(str(error)) from error
        await self.dispatcher.run()

    def _stop(self) -> None:
        self.stopping.set()
        self.admission.refuse()
        self.dispatcher.stop()
        self.outbox.stop()

    async def drain(self, timeout: float = 25.0) -> None:
        """Admit nothing new, let posts under way end, leave the rows; returns within ``timeout`` seconds."""
        self._stop()
        try:
            async with asyncio.timeout(timeout):
                await self.drained.wait()
        except TimeoutError:
            return

    async def close(self) -> None:
        """Close the engine and the database; safe to call twice."""
        self._stop()
        await self.engine.close()
        await asyncio.to_thread(self.admission.close)
        await asyncio.to_thread(self.library.close)
        await self.database.close()

    async def job(self, job_id: str) -> Job | None:
        """The job as its row says now, or None."""
        return await self.database.read(lambda connection: jobs.find(connection, job_id))

    async def job_of_message(self, message_id: int) -> Job | None:
        """The job whose result this message is, or None."""
        return await self.database.read(lambda connection: jobs.find_message(connection, message_id))

    async def job_of_any_message(self, message_id: int) -> Job | None:
        """The job whose result or waiting message this is, or None."""

        def seek(connection: Connection) -> Job | None:
            return jobs.find_message(connection, message_id) or jobs.find_waiting(connection, message_id)

        return await self.database.read(seek)

    async def pictures(self, job_id: str) -> tuple[Picture, ...]:
        """The stored pictures by index; files that are gone are left out."""
        rows = await self.database.read(lambda connection: library.of_job(connection, job_id))
        return tuple(self.library.picture(row) for row in rows if self.library.exists(row.file))

    async def cancel(self, job_id: str, requester: Requester) -> Job:
        """Owner or admin: drop a queued or running job, quota given back; UserError when it is too late."""
        job = await self._commanded(job_id, requester, "cancel")
        if not await self.recorder.end(job_id, JobStatus.CANCELLED, CANCELLED):
            raise UserError(say("It is too late to cancel this one: it is already done."))
        if job.status is JobStatus.QUEUED:
            self.backlog.gone(job_id)
        self.dispatcher.cancel(job_id)
        return await self.job(job_id) or job

    async def delete(self, job_id: str, requester: Requester) -> Job:
        """Owner or admin: remove files and content, quota not given back; returns the job as it was."""
        job = await self._commanded(job_id, requester, "delete")
        if job.status in UNFINISHED:
            await self.cancel(job_id, requester)
        files, inputs = await self.database.write(lambda connection: _erase(connection, job_id))
        await self.library.remove(files)
        if inputs:
            await self.database.write(lambda connection: discard_inputs(connection, self.library, inputs))
        return job

    async def attach_message(self, job_id: str, message_id: int) -> None:
        """Remember the waiting message, so that progress and the end find it, after a restart too."""
        await self.database.write(lambda connection: jobs.change(connection, job_id, message_id=message_id))

    async def wait_estimate(self, job_id: str) -> tuple[int, float]:
        """Jobs ahead of it and expected seconds until it is finished."""
        job = await self.job(job_id)
        if job is None or job.status not in UNFINISHED:
            return 0, 0.0
        ahead, before = self.backlog.ahead(job_id)
        return ahead, before + self.backlog.left(job_id)

    async def queue(self) -> QueueFacts:
        """Counts over all users."""
        counts = await self.database.read(lambda connection: jobs.count_by_status(connection))
        owed = counts.get(JobStatus.RENDERED, 0) + counts.get(JobStatus.POSTING, 0)
        return QueueFacts(counts.get(JobStatus.QUEUED, 0), counts.get(JobStatus.RUNNING, 0), owed)

    async def _commanded(self, job_id: str, requester: Requester, verb: str) -> Job:
        job = await self.job(job_id)
        if job is None:
            raise UserError(GONE)
        if not policy.may_command(requester, job):
            raise NotAllowed(policy.not_yours(verb))
        return job


def _erase(connection: Connection, job_id: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Blank a job; the files of its pictures, and the pictures it started from, which others may need."""
    inputs = tuple(name for name in jobs.intake(connection, job_id).inputs if name.startswith("input:"))
    files = library.remove(connection, job_id)
    jobs.erase(connection, job_id)
    return files, inputs


async def open_services(
    settings: Settings,
    engine: Engine,
    sink: MessageSink,
    *,
    clock: Callable[[], float] = time.time,
    fetcher: Fetcher | None = None,
    backoff: Callable[[int], float] = exponential,
) -> Services:
    """Open the data folder (StoreError), bring interrupted jobs back into the queue, wire everything.

    The engine is started by ``run``, not here; orders may be admitted before.
    """
    database = await Database.open(settings.data.dir)
    try:
        return await _wire(settings, engine, sink, database, clock, fetcher, backoff)
    except BaseException:
        await database.close()
        raise


async def _wire(
    settings: Settings,
    engine: Engine,
    sink: MessageSink,
    database: Database,
    clock: Callable[[], float],
    fetcher: Fetcher | None,
    backoff: Callable[[int], float],
) -> Services:
    files = Library(settings.data.dir / "images")
    feeds = ProgressFeeds(database, sink, settings.engine.preview_interval)
    outbox = Outbox(database, files, sink, feeds, backoff=backoff, clock=clock)
    recorder = Recorder(settings, database, files, ended=outbox.wake, clock=clock)
    await _recover(recorder, database.folder)
    await files.sweep(await database.read(library.known_files))
    backlog = await _backlog(settings, engine, database, clock)
    dispatcher = Dispatcher(settings, engine, database, files, recorder, feeds, backlog, clock=clock)
    quotas, reading = Quotas(settings, database, clock), fetcher or Fetcher(settings.limits)

    def admitted(job: Job) -> None:
        (dispatcher if job.status is JobStatus.QUEUED else outbox).wake()

    admission = Admission(
        settings, engine, database, files, reading, quotas, backlog, wake=admitted, clock=clock
    )
    return Services(
        settings=settings,
        engine=engine,
        database=database,
        library=files,
        admission=admission,
        dispatcher=dispatcher,
        recorder=recorder,
        outbox=outbox,
        quotas=quotas,
        feeds=feeds,
        backlog=backlog,
        fetcher=reading,
        drained=_set_event(),
    )


async def _backlog(
    settings: Settings, engine: Engine, database: Database, clock: Callable[[], float]
) -> Backlog:
    return Backlog(
        await database.read(jobs.waiting),
        share=lambda roles: specs.share_of(roles, settings),
        devices=lambda: engine.health().devices,
        clock=clock,
    )


async def _recover(recorder: Recorder, folder: Path) -> None:
    """What the last process left, once: its trace is forgotten only when it is in the rows."""
    await recorder.recover(crashed=await asyncio.to_thread(blackbox.crashed, folder))
    await asyncio.to_thread(blackbox.forget, folder)


def _set_event() -> asyncio.Event:
    """Nothing runs yet, so there is nothing to drain."""
    event = asyncio.Event()
    event.set()
    return event
