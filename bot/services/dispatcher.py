"""Keeps the engine's small window full from the rows, and hears what the engine has to say."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from sqlalchemy import Connection

from bot.config import Settings
from bot.domain.change import Layout
from bot.domain.job import Job, JobStatus
from bot.domain.sentence import say, sentence_of
from bot.errors import StoreError, UserError
from bot.services import specs
from bot.services.backlog import Backlog
from bot.services.canvas import feather
from bot.services.library import Library
from bot.services.progress import ProgressFeeds
from bot.services.recorder import Recorder
from bot.services.steps import Step, reached
from bot.store import jobs, library
from bot.store.database import Database
from bot.store.jobs import LANES, Intake
from bot.store.library import ImageRow
from engine.api import (
    Cancelled,
    Engine,
    EngineBroken,
    EngineError,
    Event,
    Failed,
    Finished,
    GenerationSpec,
    InitImage,
    Progress,
    Started,
)

_log = logging.getLogger(__name__)
RETRY_S = 5.0
CROWD = 8
"""Windows full of users with one job each that the engine holds at most."""
RESTORE = "restore-"
"""Prefix of engine jobs that paint a lost file again, followed by the image's id."""


class PictureLost(EngineError):
    """A picture that a job starts from is gone and cannot be made again."""

    def __init__(self) -> None:
        super().__init__(say("The picture it starts from was deleted"))


class PictureUnreadable(EngineError):
    """A picture that a job starts from is there and cannot be read, or cannot be written again."""

    def __init__(self) -> None:
        super().__init__(say("The picture it starts from cannot be read; attach or link another one"))


@dataclass(slots=True)
class _Held:
    """A job that counts against the window, from its row's change to its last event."""

    job: Job
    intake: Intake
    spec: GenerationSpec | None = None
    cancelled: bool = False


class Dispatcher:
    """Fast before relaxed work, users in turn by what their jobs cost, each user's oldest first.

    The window bounds what those hold who have something in the engine already; whoever has nothing there, and
    work of the foremost lane, gets in beside it: only what the engine knows can pass others at the next step.

    A job that was running at a death is handed over alone, so that one which brings the engine down cannot
    take its neighbours along twice; one that was there at two deaths lets all that wait with it go before.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        database: Database,
        files: Library,
        recorder: Recorder,
        feeds: ProgressFeeds,
        backlog: Backlog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._database = database
        self._files = files
        self._recorder = recorder
        self._feeds = feeds
        self._backlog = backlog
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._unrecorded: set[str] = set()
        """Finished jobs whose pictures are still in memory."""
        self._suspects: frozenset[int] = frozenset()
        self._horizon = 0
        self._restoring: dict[str, asyncio.Future[Image.Image]] = {}
        self._news = asyncio.Event()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: BaseException | None = None

    def wake(self) -> None:
        """There may be something to hand over."""
        self._news.set()

    def stop(self) -> None:
        """Hand over nothing more; ``run`` returns and the engine's jobs go back into the queue."""
        self._stopping = True
        self._news.set()

    def cancel(self, job_id: str) -> None:
        """Drop the job from the engine if it is there; its row says cancelled already."""
        if (held := self._held.get(job_id)) is not None:
            held.cancelled = True
        self._engine.cancel(job_id)

    async def run(self) -> None:
        """Work until ``stop``; EngineBroken when the engine cannot go on."""
        listener = asyncio.create_task(self._listen(), name="engine events")
        listener.add_done_callback(self._done)
        self.wake()
        try:
            self._suspects, self._horizon = await self._database.read(_suspects)
            while not self._stopping and self._trouble is None:
                await self._news.wait()
                self._news.clear()
                if not self._stopping and self._trouble is None:
                    await self._try_to_fill()
        finally:
            await self._wind_up(listener)
        if self._trouble is not None:
            raise self._trouble

    async def _wind_up(self, listener: asyncio.Task[None]) -> None:
        self._recorder.close()
        for future in self._restoring.values():
            future.cancel()
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for job_id in self._held:
            self._engine.cancel(job_id)
        if self._trouble is None:
            await self._recorder.release([*self._held, *self._unrecorded])
        else:
            await self._recover()
        self._held.clear()

    async def _recover(self) -> None:
        """As after a death; where that cannot be written, the next start does it."""
        try:
            await self._recorder.recover(crashed=isinstance(self._trouble, EngineBroken))
        except StoreError:
            _log.exception("interrupted jobs could not be put back into the queue")

    async def _try_to_fill(self) -> None:
        try:
            await self._fill()
        except StoreError:
            _log.exception("the queue cannot be written; trying again in %g s", RETRY_S)
            asyncio.get_running_loop().call_later(RETRY_S, self.wake)

    async def _fill(self) -> None:
        if not self._engine.health().alive:
            raise EngineBroken("The engine has stopped; start the bot again.")
        if self._has_room():
            for job, intake in await self._database.write(self._take):
                self._held[job.id] = _Held(job, intake)
                self._backlog.handed(job.id, intake.lane)
                reached(Step.DISPATCHED, job.id)
                self._spawn(self._hand_over(self._held[job.id]))

    def _has_room(self) -> bool:
        """Pictures that a full disk keeps in memory close the window, or they would fill that too."""
        window = self._settings.engine.window
        alone = any(held.job.deaths for held in self._held.values())
        if alone or len(self._unrecorded) >= window or len(self._held) >= CROWD * window:
            return False
        return len(self._held) < window or self._backlog.others(self._busy())

    def _busy(self) -> Counter[int]:
        """Jobs with the engine, by user."""
        return Counter(held.job.requester.user_id for held in self._held.values())

    def _take(self, connection: Connection) -> list[tuple[Job, Intake]]:
        """Mark as running as many jobs as the window has room for."""
        taken: list[tuple[Job, Intake]] = []
        busy, beside = self._busy(), Counter[tuple[str, int]]()
        while (held := len(self._held) + len(taken)) < CROWD * self._settings.engine.window:
            full = held >= self._settings.engine.window
            next_up = self._next(self._candidates(connection), busy, beside, full=full)
            if next_up is None:
                break
            lane, seq = next_up
            job = jobs.at(connection, seq)
            if job.deaths and (taken or self._held):
                break
            now = self._clock()
            attempts = job.attempts + 1
            jobs.move(connection, job.id, JobStatus.RUNNING, attempts=attempts, started_at=now)
            intake = jobs.intake(connection, job.id)
            taken.append((job, replace(intake, lane=lane)))
            beside[intake.lane, job.requester.user_id] += 1
            busy[job.requester.user_id] += 1
            if job.deaths:
                break
        return taken

    def _candidates(self, connection: Connection) -> list[tuple[str, int, int]]:
        """Each user's oldest; suspects only when all that waited beside them at the start are gone."""
        if self._suspects:
            others = jobs.oldest(connection, self._suspects)
            if any(seq <= self._horizon for _, _, seq in others):
                return others
            self._suspects = frozenset()
        return jobs.oldest(connection)

    def _next(
        self,
        oldest: Iterable[tuple[str, int, int]],
        busy: Counter[int],
        beside: Counter[tuple[str, int]],
        *,
        full: bool,
    ) -> tuple[str, int] | None:
        """Lane and number of the job whose turn it is, of users with room in the engine."""
        ranked = [
            (*self._backlog.turn(lane, user, beside[lane, user]), seq, user) for lane, user, seq in oldest
        ]
        most = 1 if full else self._settings.limits.running
        lane, _, seq, _ = min((turn for turn in ranked if busy[turn[-1]] < most), default=(0, 0.0, 0, 0))
        if not seq or (full and lane > min(ranked)[0]):
            return None
        return LANES[lane], seq

    async def _hand_over(self, held: _Held) -> None:
        job = held.job
        try:
            held.spec = await self._spec(job, held.intake)
            if not held.cancelled and not self._stopping:
                self._engine.submit(held.spec)
            elif not self._stopping:
                self._release(job.id)
        except EngineBroken:
            raise
        except EngineError as error:
            await self._end(held, Failed(job.id, error))
        except (OSError, StoreError):
            # A damaged file is this job's trouble and a full disk passes: no reason to end the bot.
            _log.warning("the picture that job %s starts from cannot be read", job.id, exc_info=True)
            await self._end(held, Failed(job.id, PictureUnreadable(), retryable=True))
        except asyncio.CancelledError:
            if not self._stopping:
                raise

    async def _spec(self, job: Job, intake: Intake) -> GenerationSpec:
        model = self._engine.models().get(job.model)
        if model is None:
            raise EngineError(say("The model {model} is no longer installed here", model=job.model))
        files = [await self._input(name) for name in intake.inputs]
        init = None
        starts = len(files) - len(specs.reference_links(job.prompt))
        if starts > 0 and intake.strength is not None:
            init = await self._start(job, files[:starts], specs.painted_size(job, model), intake.strength)
        lent = [await self._files.contents(file) for file in files[max(0, starts) :]]
        mixed = files[:starts] if starts > 0 and specs.blends(job) else []
        blend = [await self._files.contents(file) for file in mixed]
        return specs.build(
            job, model, self._settings, lane=intake.lane, init=init, references=lent, blend=blend
        )

    async def _start(
        self, job: Job, files: Sequence[str], size: tuple[int, int], strength: float
    ) -> InitImage:
        """The picture a job begins with; what a button lays out or marks keeps the pixels that it has."""
        change = job.change
        if change is None or not (change.layout or change.enlarge):
            return InitImage(await self._files.starting_picture(files, *size), strength)
        picture = await self._files.contents(files[0])
        if change.layout is None:
            return InitImage(picture, strength)
        if change.layout is Layout.NAMED:
            mask = await self._engine.segment(picture, change.region)
            return InitImage(picture, strength, mask, feather(size))
        try:
            laid = await self._files.laid_out(picture, change)
        except UserError as error:
            raise EngineError(sentence_of(error)) from error
        return InitImage(laid.png, strength, laid.mask, feather(size))

    async def _input(self, name: str) -> str:
        """The file of a picture that a job starts from, painted again if it is gone."""
        kind, _, reference = name.partition(":")
        if kind == "input":
            if not self._files.exists(reference):
                raise PictureLost
            return reference
        row = await self._database.read(lambda connection: library.find(connection, reference))
        if row is None:
            raise PictureLost
        if not self._files.exists(row.file):
            await self._restore(row)
        return row.file

    async def _restore(self, row: ImageRow) -> None:
        """Paint a lost picture again from its job's row: same spec, same seed, same picture."""
        origin, intake = await self._database.read(lambda connection: _origin(connection, row))
        if origin is None or intake is None:
            raise PictureLost
        spec = await self._spec(replace(origin, seeds=(row.seed,)), intake)
        engine_id = f"{RESTORE}{row.id}"
        future = self._restoring.get(engine_id)
        if future is None:
            # First, since a spec that is refused has no event that would end the wait of the next job.
            self._engine.submit(replace(spec, job_id=engine_id))
            future = self._restoring[engine_id] = asyncio.get_running_loop().create_future()
        picture = await asyncio.shield(future)
        await self._files.restore(row, origin, replace(spec, seeds=origin.seeds), picture)

    async def _listen(self) -> None:
        async for event in self._engine.events():
            if event.job_id.startswith(RESTORE):
                self._restored(event)
            else:
                self._hear(event)
        if not self._stopping:
            raise EngineBroken("The engine has stopped; start the bot again.")

    def _hear(self, event: Event) -> None:
        held = self._held.get(event.job_id)
        if held is None or isinstance(event, Started):
            return
        if isinstance(event, Progress):
            if held.cancelled:
                return  # It was told already; an edit would undo that.
            percent = min(99, 100 * event.step // max(1, event.steps))
            self._backlog.progress(event.job_id, percent / 100)
            self._feeds.update(event.job_id, percent, event.preview)
        else:
            self._spawn(self._end(held, event))

    async def _end(self, held: _Held, event: Finished | Failed | Cancelled) -> None:
        job = held.job
        # First of all, since a job that is tried again may be handed over as soon as its row says so.
        self._release(job.id)
        if isinstance(event, Finished) and held.spec is not None:
            self._unrecorded.add(job.id)
            if await self._recorder.finished(job.id, held.spec, event.images, event.gpu_seconds):
                self._unrecorded.discard(job.id)
                self.wake()
        if isinstance(event, Failed) and await self._recorder.failed(
            job.id, event.error, retryable=event.retryable
        ):
            self._backlog.queued(
                job.id,
                held.intake.lane,
                job.requester.user_id,
                held.intake.expected_s,
                share=specs.share_of(job.requester.role_ids, self._settings),
            )
            self.wake()

    def _restored(self, event: Event) -> None:
        if isinstance(event, Started | Progress):
            return
        future = self._restoring.pop(event.job_id, None)
        if future is None or future.done():
            return
        if isinstance(event, Finished):
            future.set_result(event.images[0])
        else:
            future.set_exception(event.error if isinstance(event, Failed) else PictureLost())

    def _release(self, job_id: str) -> None:
        """The engine is done with a job: there is room for another."""
        self._held.pop(job_id, None)
        self._backlog.gone(job_id)
        self.wake()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        """What none of the tasks could handle ends ``run``: the rows are right, a restart is clean."""
        if not task.cancelled() and (error := task.exception()) is not None and self._trouble is None:
            self._trouble = error
            self.wake()


def _suspects(connection: Connection) -> tuple[frozenset[int], int]:
    return jobs.suspects(connection), jobs.newest(connection)


def _origin(connection: Connection, row: ImageRow) -> tuple[Job | None, Intake | None]:
    job = jobs.find(connection, row.job_id)
    return (job, jobs.intake(connection, row.job_id)) if job else (None, None)
