"""The loop's body, without threads: jobs in, one :meth:`Core.tick` at a time, events out.

A tick plans, prepares what is new, runs one forward pass for all planned rows, steps each job's own
scheduler, and finishes what is done. Whatever goes wrong for one job ends that job alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from PIL import Image

from engine import stages
from engine.api import (
    Cancelled,
    EngineBroken,
    EngineError,
    Event,
    Failed,
    Finished,
    GenerationSpec,
    ModelUnavailable,
    OutOfMemory,
    Progress,
    Started,
    unusable,
)
from engine.device import LARGE
from engine.estimates import Estimates
from engine.finishing import TURN_S, Finisher, Finishing, eased, enlargements
from engine.images import columns_for, grid, jpeg
from engine.memory import free, in_less_memory, is_fatal, is_out_of_memory
from engine.meter import Meter
from engine.models.base import ModelFamily, OwnCourse, OwnWay
from engine.models.registry import Registry
from engine.queue import JobQueue, Key, group_of, shared_out
from engine.sentence import say
from engine.stages import BrokenFrame, Rows

T = TypeVar("T")
log = logging.getLogger(__name__)
PREVIEW_SIDE = 512
"""Longest side of a preview, in pixels."""


@dataclass(slots=True)
class _Part:
    """Some images of a job that step together: all of them, unless they are more than a plan may hold."""

    key: Key
    job: _Job
    seeds: tuple[int, ...]
    safely: bool = False
    """In float32, since the pictures were none in the engine's own numbers."""
    rows: Rows | OwnCourse | None = None
    finishing: Finishing | None = None
    """What comes after the last step, once it has begun."""
    pieces: tuple[int, int] = (0, 0)
    """That were enlarged, of those there are."""
    images: list[Image.Image] | None = field(default=None, repr=False)

    @property
    def told(self) -> tuple[int, int]:
        """Steps and pieces that are done, and all there are."""
        (step, steps), (piece, pieces) = self.rows.told if self.rows else (0, 0), self.pieces
        return step + piece, steps + pieces

    def enlarged(self) -> None:
        """Another piece."""
        self.pieces = (self.pieces[0] + 1, self.pieces[1])


@dataclass(slots=True)
class _Job:
    spec: GenerationSpec
    preview_at: float
    parts: list[_Part] = field(default_factory=list)
    started: bool = False
    seconds: float = 0.0
    told: tuple[int, int] = (0, 1)
    """Steps of those there were, as it was last said."""


class Core:
    """The engine without its thread. ``emit`` is called with every event, in order, from :meth:`tick`.

    ``preview_interval`` in seconds, per job; ``clock`` in seconds. Several devices share one ``queue``, each
    at its own ``place``. Models of :data:`engine.device.LARGE` bytes and more calculate in ``large_dtype``.
    Forward passes are filled up to one of ``sizes`` rows. ``beat`` is called when a model has been loaded,
    which may take long and is no stall. :meth:`tick` raises EngineBroken when the device cannot go on.
    """

    def __init__(
        self,
        registry: Registry,
        emit: Callable[[Event], None],
        *,
        device: torch.device,
        dtype: torch.dtype,
        large_dtype: torch.dtype | None = None,
        max_rows: int = 8,
        preview_interval: float = 1.0,
        estimates: Estimates | None = None,
        clock: Callable[[], float] = time.perf_counter,
        queue: JobQueue | None = None,
        place: int = 0,
        sizes: tuple[int, ...] = (),
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._emit = emit
        self._device = device
        self._dtypes = (dtype, large_dtype or dtype)
        self._preview_interval = preview_interval
        self._clock = clock
        self._beat = beat
        self._queue = queue or JobQueue(registry.profiles, max_rows, estimates or Estimates())
        self._place = place
        self._queue.join(place, registry.loading)
        self._batcher = stages.Batcher(sizes)
        self._jobs: dict[str, _Job] = {}
        self._parts: dict[Hashable, _Part] = {}
        self._finisher = Finisher(device, self._ease, clock)
        self._meter = Meter(device, clock)
        self._most: dict[Hashable, int] = {}
        self._departures = 0
        self.idle = False
        """Whether the last tick found nothing to do: what waits may be left to another device."""
        self._now: frozenset[str] = frozenset()
        """Models of the tick at work."""

    @property
    def busy(self) -> bool:
        """Whether a tick has something to do."""
        return bool(self._jobs) or self._queue.waiting > 0

    def family(self, name: str, *, safely: bool = False) -> ModelFamily | OwnWay:
        """The loaded model, in float32 if ``safely``; ModelUnavailable with the file that is wrong."""
        dtype = torch.float32 if safely else self._dtypes[self._registry.weight(name) >= LARGE]
        return in_less_memory(
            lambda: self._registry.load(name, self._device, dtype, self._now | self._begun()), self._set_aside
        )

    def _begun(self) -> set[str]:
        """Models whose objects jobs hold."""
        return {part.job.spec.model for part in self._parts.values() if part.rows is not None}

    def submit(self, spec: GenerationSpec) -> None:
        """Queue a spec that was checked before."""
        self._queue.put(spec)

    def cancel(self, job_id: str) -> None:
        """Drop a job; unknown ids are ignored. No step of it is queued any more, one may be at work."""
        if (job := self._jobs.get(job_id)) is not None:
            self.settle()
            self._end(job, Cancelled(job_id, job.seconds))
        elif self._queue.withdraw(job_id):
            self._emit(Cancelled(job_id, 0.0))

    def settle(self) -> None:
        """Wait until the device has done what it was told."""
        self._meter.settle()

    def abandon(self) -> tuple[str, ...]:
        """The device is lost: its jobs' ids; they are no longer queued, and no event is told of them."""
        self._queue.leave(self._place)
        for part in self._parts.values():
            self._queue.remove(part.key)
        return tuple(self._jobs)

    def tick(self) -> None:
        """One denoising step for the planned rows, with all that comes before and after it."""
        tickets, begun = self._queue.plan(self._place)
        self.idle = not tickets
        for spec in begun:
            self._adopt(spec)
        planned = [part for ticket in tickets if (part := self._parts.get(ticket.key)) is not None]
        self._now = frozenset(part.job.spec.model for part in planned)
        ready = self._prepared(planned)
        running = [part for part in ready if part.rows and not part.rows.done and self._alive(part)]
        if running:
            self._step(running)
            self._decode_together(running)
        for part in ready:
            self._report(part)

    def _adopt(self, spec: GenerationSpec) -> None:
        """A job is this device's from now on."""
        job = self._jobs[spec.job_id] = _Job(spec, preview_at=self._clock() + self._preview_interval)
        for number, seeds in enumerate(shared_out(spec.seeds, self._queue.max_rows)):
            part = _Part((spec.job_id, number), job, seeds)
            job.parts.append(part)
            self._parts[part.key] = part

    def _alive(self, part: _Part) -> bool:
        return self._jobs.get(part.job.spec.job_id) is part.job

    def _prepared(self, planned: Sequence[_Part]) -> list[_Part]:
        """Those that can step. What there is no time for is prepared in the next tick: encoders may be slow,
        and a cancel and those who step already wait for one of them, not for a crowd.
        """
        ready: list[_Part] = []
        began = self._clock()
        for part in planned:
            late = ready and self._clock() - began > TURN_S
            if self._alive(part) and not (part.rows is None and late) and self._prepare(part):
                ready.append(part)
        return ready

    def _prepare(self, part: _Part) -> bool:
        """Bring a part to its first step; its job fails alone when it cannot be."""
        job = part.job
        if not job.started:
            job.started = True
            self._emit(Started(job.spec.job_id))
        if part.rows is None:
            with self._own_fault(job):
                family = self.family(job.spec.model, safely=part.safely)
                self._beat()
                with self._charged(part):
                    begin = partial(stages.begin, family, job.spec, part.seeds)
                    part.rows = eased(family, begin, self._ease, tile=job.spec.tile)
                    part.pieces = (0, enlargements(part.rows, job.spec))
        return part.rows is not None

    def _step(self, parts: Sequence[_Part]) -> None:
        """Queue one; the device may still be at work on the step before."""
        self._meter.begin()
        rows = {id(part): part.rows for part in parts if part.rows is not None}
        total = sum(row.cost for row in rows.values())
        shares = [(part, rows[id(part)].cost / total) for part in parts]
        predictions = self._predictions(parts)
        for part, prediction in predictions:
            row = rows[id(part)]
            with self._own_fault(part.job):
                self._advance(part, row, prediction)
        self._meter.queued(partial(self._charge, shares))

    def _charge(self, shares: Sequence[tuple[_Part, float]], spent: float) -> None:
        """A step that is over, to those who made it."""
        for part, share in shares:
            part.job.seconds += spent * share
        self._queue.update({part.key: spent * share for part, share in shares})

    def _advance(self, part: _Part, row: Rows | OwnCourse, prediction: torch.Tensor) -> None:
        """A step; where there is no memory for it the part begins again when some has been freed: a sampler
        that failed half-way cannot go on.
        """
        try:
            ease = partial(self._ease, row.family)
            stages.advance(row, prediction, self._preview_due(part.job), ease)
        except Exception as error:
            if not is_out_of_memory(error) or not self._ease(row.family):
                raise
            self._begin_again(part)

    def _predictions(self, parts: Sequence[_Part]) -> list[tuple[_Part, torch.Tensor]]:
        """The model's answer for each part. What fails together is tried alone, so a fault finds its job."""
        rows = [part.rows for part in parts if part.rows is not None]
        try:
            # It may have been put aside for others since the last step.
            self.family(rows[0].spec.model, safely=parts[0].safely)
            return list(zip(parts, self._forward(rows), strict=True))
        except Exception as error:
            if len(parts) == 1:
                self._fail(parts[0].job, error)
                return []
            self._raise_fatal(error)
            log.warning("a shared forward pass failed, trying each job alone: %s", error)
        return [answer for part in parts if self._alive(part) for answer in self._predictions([part])]

    def _forward(self, rows: Sequence[Rows | OwnCourse]) -> list[torch.Tensor]:
        """One forward pass, in halves and quarters where memory does not hold it; what held is remembered."""
        total = sum(row.cost for row in rows)
        shape = (rows[0].spec.model, rows[0].spec.width, rows[0].spec.height)
        self._forget_the_most()

        def most() -> int:
            return min(total, self._most.get(shape, total))

        def less() -> bool:
            if most() == 1:
                eased = self._ease(rows[0].family)
                self._forget_the_most()
                return eased
            self._most[shape] = most() // 2
            free(self._device)
            return True

        return in_less_memory(lambda: self._batcher.predict(rows, most()), less)

    def _forget_the_most(self) -> None:
        """What memory did not hold it may hold now that a model has left."""
        if self._departures != self._registry.departures:
            self._departures = self._registry.departures
            self._most.clear()

    def _ease(self, family: ModelFamily | OwnWay) -> bool:
        """Put aside what is not needed now: idle models, then parts of the one at work; False at the end."""
        kept = self._now | self._begun()
        return self._set_aside() or self._freed(self._registry.rotate(family, kept))

    def _set_aside(self) -> bool:
        """One model that this tick does not need, which may be one of jobs that wait."""
        return self._freed(self._registry.set_aside(self._now, self._begun()))

    def _freed(self, some: bool) -> bool:
        if some:
            free(self._device)
        return some

    def _begin_again(self, part: _Part) -> None:
        _close(part)
        part.rows = part.finishing = None
        self._queue_anew(part, part.job.spec)

    def _report(self, part: _Part) -> None:
        """Tell how far its job is; after the last step, take a turn at what comes then."""
        job = part.job
        if not self._alive(part):
            return
        with self._own_fault(job):
            self._tell(job)
            if part.rows is not None and part.rows.done and part.images is None:
                self._finish_part(part, part.rows)
                self._tell(job)
            if all(part.images is not None for part in job.parts):
                self._finish(job)

    def _tell(self, job: _Job) -> None:
        told = [part.told for part in job.parts]
        steps = max(steps for _, steps in told)
        step = sum(steps * step // max(1, own) for step, own in told) // len(told)
        if step * job.told[1] > job.told[0] * steps:  # what was guessed may turn out to be more
            job.told = (step, steps)
            self._emit(Progress(job.spec.job_id, step, steps, self._preview(job)))

    def _decode_together(self, stepped: Sequence[_Part]) -> None:
        """What several jobs have finished by one step; a fault is left for each to meet alone."""
        done = [part for part in stepped if self._alive(part) and part.rows and part.rows.done]
        rows = [part.rows for part in done if isinstance(part.rows, Rows)]
        if len(rows) > 1:
            with self._charged(*done):
                self._finisher.together(rows)

    def _finish_part(self, part: _Part, rows: Rows | OwnCourse) -> None:
        """A turn on the way to pictures as large as were asked for, or to a second pass on that way."""
        turns = part.finishing = part.finishing or self._finishing(part, rows)
        try:
            with self._charged(part):
                next(turns)
        except StopIteration as end:
            part.finishing = None
            self._go_on(part, end.value)
        except BrokenFrame:
            if part.safely or rows.family.dtype == torch.float32:
                raise
            self._paint_safely(part)
        else:
            self._queue.set_apart(part.key)

    def _finishing(self, part: _Part, rows: Rows | OwnCourse) -> Finishing:
        return self._finisher.turns(
            rows,
            part.job.spec,
            part.seeds,
            present=lambda: self.family(rows.spec.model, safely=part.safely),
            enlarged=part.enlarged,
        )

    def _go_on(self, part: _Part, end: list[Image.Image] | Rows) -> None:
        """The pictures are there, or the rows of a second pass."""
        if isinstance(end, Rows):
            part.rows = end
            self._queue_anew(part, end.spec)
        else:
            part.images = end
            self._queue.remove(part.key)

    def _paint_safely(self, part: _Part) -> None:
        """All over, in numbers that do not overflow."""
        log.warning("job %s painted no picture and is painted again in float32", part.job.spec.job_id)
        part.safely = True
        self._begin_again(part)

    def _queue_anew(self, part: _Part, spec: GenerationSpec) -> None:
        """The part's next pass, in a group of its own kind."""
        native = self._registry.profiles[spec.model].family.native
        group = (
            (group_of(spec, part.key, native), part.safely)
            if part.safely
            else group_of(spec, part.key, native)
        )
        self._queue.replace(self._queue.ticket(spec, part.key, len(part.seeds), group))

    def _finish(self, job: _Job) -> None:
        images = tuple(image for part in job.parts for image in part.images or ())
        self._queue.estimates.learn(job.spec, job.seconds)
        self._end(job, Finished(job.spec.job_id, images, job.seconds))

    def _end(self, job: _Job, event: Event) -> None:
        """Forget a job and tell its end."""
        del self._jobs[job.spec.job_id]
        for part in job.parts:
            self._parts.pop(part.key, None)
            self._queue.remove(part.key)
            _close(part)
        self._emit(event)

    def _fail(self, job: _Job, error: Exception) -> None:
        self._raise_fatal(error)
        if self._jobs.get(job.spec.job_id) is not job:
            return
        self.settle()
        source = self._registry.profiles[job.spec.model].source
        log.warning(
            "job %s failed on %s (%s): %s",
            job.spec.job_id,
            source.name,
            source.checkpoint or source.path,
            error,
            exc_info=not isinstance(error, EngineError),
        )
        self._end(job, _failure(job, error))

    def _raise_fatal(self, error: Exception) -> None:
        if is_fatal(error):
            raise EngineBroken(f"The device cannot go on: {error}") from error

    @contextmanager
    def _own_fault(self, job: _Job) -> Iterator[None]:
        """What goes wrong inside ends this job and no other."""
        try:
            yield
        except Exception as error:
            self._fail(job, error)

    def _charged(self, *parts: _Part) -> AbstractContextManager[None]:
        """Device seconds spent inside are these parts', by their images."""
        total = sum(len(part.seeds) for part in parts)

        def charge(spent: float) -> None:
            for part in parts:
                share = spent * len(part.seeds) / total
                part.job.seconds += share
                self._queue.charge(part.key, share)

        return self._meter.apart(charge)

    def _preview_due(self, job: _Job) -> bool:
        """Never of pictures that may be held back: a preview shows what they show, and nothing checks it."""
        return not job.spec.checks and self._clock() >= job.preview_at

    def _preview(self, job: _Job) -> bytes | None:
        """A small JPEG grid of the estimates, when one is due and every part has one."""
        rows = [part.rows for part in job.parts if part.rows is not None and part.rows.clean is not None]
        # Where a job stops early there is an estimate that nobody asked for.
        if len(rows) < len(job.parts) or not self._preview_due(job):
            return None
        job.preview_at = self._clock() + self._preview_interval
        cell = PREVIEW_SIDE // columns_for(job.spec.count)
        try:
            return jpeg(grid([image for row in rows for image in _rough(row, cell)]))
        except Exception:  # A job does not end for want of a rough picture.
            log.warning("job %s goes on without a preview", job.spec.job_id, exc_info=True)
            return None
        finally:
            for row in rows:
                row.clean = None


def _close(part: _Part) -> None:
    """Unwind a course; what a pipeline says on its way out changes nothing about its job's end."""
    try:
        if isinstance(part.rows, OwnCourse):
            part.rows.close()
    except Exception:
        log.warning("a part of job %s did not end cleanly", part.job.spec.job_id, exc_info=True)


@torch.inference_mode()
def _rough(rows: Rows | OwnCourse, side: int) -> list[Image.Image]:
    assert rows.clean is not None
    pixels = rows.family.preview(rows.clean).nan_to_num(0.5)
    scale = side / max(pixels.shape[-2:])
    images = stages.to_pictures(pixels)
    size = (max(1, round(pixels.shape[-1] * scale)), max(1, round(pixels.shape[-2] * scale)))
    return [image.resize(size, Image.Resampling.BICUBIC) for image in images]


def _failure(job: _Job, error: Exception) -> Failed:
    if is_out_of_memory(error):
        sentence = say(
            "There is not enough memory on the device for {width}x{height} pixels; try a smaller --ar, --n "
            "or another model.",
            width=job.spec.width,
            height=job.spec.height,
        )
        return Failed(job.spec.job_id, OutOfMemory(sentence))
    if isinstance(error, ModelUnavailable):
        return Failed(job.spec.job_id, unusable(job.spec.model))
    if isinstance(error, EngineError):
        # Its frames, and those of what it came from, hold tensors for as long as the event is kept.
        error.__cause__ = error.__context__ = None
        return Failed(job.spec.job_id, error.with_traceback(None))
    # The error's own words may hold paths and are for the log alone.
    sentence = say("The picture could not be painted: a {error} in the engine", error=type(error).__name__)
    return Failed(job.spec.job_id, EngineError(sentence), retryable=True)
