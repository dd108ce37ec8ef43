"""A scripted Engine without torch: for tests of what stands in front of the engine, and front-end work.

By itself it steps all running jobs as fast as the loop allows. With ``manual=True`` nothing moves until
:meth:`FakeEngine.step` or :meth:`FakeEngine.finish` is called, so tests need no sleeps. Its pictures are
gradients coloured by their seed: the same seed gives the same picture.
"""

from __future__ import annotations

import asyncio
import colorsys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from PIL import Image

from engine.api import (
    Cancelled,
    EngineBroken,
    EngineError,
    EngineHealth,
    Event,
    Failed,
    Finished,
    GenerationSpec,
    InvalidSpec,
    ModelInfo,
    Progress,
    Started,
)
from engine.captioner import UNSET as NO_CAPTIONER
from engine.checks import check_spec
from engine.images import grid, jpeg
from engine.masks import mixed, read_mask, read_picture, restored, size_of, softened
from engine.segment import UNSET, encoded, unseen
from engine.sentence import say

SKETCH = ModelInfo(
    name="sketch",
    family="fake",
    description="Coloured gradients, for tests and front-end work.",
    native_size=64,
    size_multiple=8,
    min_size=32,
    max_size=128,
    upscale=4,
    steps=20,
    max_steps=150,
    guidance_scale=4.0,
    sampler="ddim",
    samplers=("ddim", "euler", "euler a", "dpm++ 2m"),
    inpaint=True,
    prompt_weights=True,
    hires=True,
    blend=True,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that strikes after ``step`` steps, ``times`` times (None: every time)."""

    error: EngineError
    step: int = 1
    retryable: bool = False
    times: int | None = None


@dataclass(slots=True)
class _Run:
    spec: GenerationSpec
    step: int = 0
    started: bool = False


class FakeEngine:
    """The Engine protocol, scripted.

    ``failures`` maps a word to the error that strikes jobs whose prompt contains it. ``pause`` is awaited
    between ticks (a real sleep for a demo, an event in a test). ``seconds_per_step`` is what a picture
    is said to cost. ``segments`` maps what can be named in any picture to its box (left, top, right, bottom
    as shares of the sides); None has no segmentation at all. ``captions`` are what any picture shows; None
    is no captioner. ``submitted`` and ``cancelled`` record what the
    bot asked for.
    """

    def __init__(
        self,
        models: Mapping[str, ModelInfo] | None = None,
        *,
        manual: bool = False,
        failures: Mapping[str, Failure] | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
        seconds_per_step: float = 0.01,
        segments: Mapping[str, tuple[float, float, float, float]] | None = None,
        captions: tuple[str, ...] | None = None,
    ) -> None:
        self._models = dict(models or {SKETCH.name: SKETCH})
        self._manual = manual
        self.failures = dict(failures or {})
        self._struck: dict[str, int] = {}
        self._pause = pause or _yield
        self._seconds_per_step = seconds_per_step
        self._segments, self._captions = segments, captions
        self._runs: dict[str, _Run] = {}
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._alive = True
        self.stalled_for = 0.0
        """Set by a test to make the engine look stalled."""
        self.submitted: list[GenerationSpec] = []
        self.cancelled: list[str] = []

    async def start(self) -> None:
        """Begin to step by itself, unless stepped by hand."""
        if not self._manual:
            self._task = asyncio.create_task(self._loop(), name="fake-engine")

    async def close(self) -> None:
        """Drop all jobs without an event and end :meth:`events`."""
        self._alive = False
        self._runs.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._events.put_nowait(None)

    def models(self) -> Mapping[str, ModelInfo]:
        """The models given at construction."""
        return dict(self._models)

    def check(self, spec: GenerationSpec) -> None:
        """The same rules as the real engine's."""
        check_spec(spec, self._models)

    def submit(self, spec: GenerationSpec) -> None:
        """Queue ``spec``; InvalidSpec when it is faulty or already here, EngineBroken after :meth:`crash`."""
        self.check(spec)
        if not self._alive:
            raise EngineBroken("The engine has stopped; it must be restarted.")
        if spec.job_id in self._runs:
            raise InvalidSpec(say("Job {job} is already in the engine.", job=spec.job_id))
        self.submitted.append(spec)
        self._runs[spec.job_id] = _Run(spec)
        self._work.set()

    def cancel(self, job_id: str) -> None:
        """Drop the job at once."""
        self.cancelled.append(job_id)
        run = self._runs.pop(job_id, None)
        if run is not None:
            self._emit(Cancelled(job_id, run.step * self._cost_of_step(run.spec)))

    def estimate(self, spec: GenerationSpec) -> float:
        """``steps x pictures x seconds_per_step``."""
        return spec.steps * self._cost_of_step(spec)

    def captioning(self) -> str | None:
        """The real engine's sentence where nothing can be described."""
        return NO_CAPTIONER if self._captions is None else None

    async def caption(self, picture: bytes, count: int) -> tuple[str, ...]:
        """The ``captions`` it was given, of any picture."""
        if self._captions is None:
            raise EngineError(NO_CAPTIONER)
        return self._captions[:count]

    def segmentation(self) -> str | None:
        """The real engine's sentence where nothing can be named."""
        return UNSET if self._segments is None else None

    async def segment(self, picture: bytes, text: str) -> bytes:
        """The box that ``segments`` has for this text."""
        size, box = size_of(picture) or (1, 1), (self._segments or {}).get(text)
        if box is None:
            raise EngineError(unseen(text))
        corners = [round(share * side) for share, side in zip(box, (*size, *size), strict=True)]
        mask = Image.new("L", size, 0)
        mask.paste(255, (corners[0], corners[1], corners[2], corners[3]))
        return encoded(mask)

    def health(self) -> EngineHealth:
        """``running`` counts the jobs that began, ``waiting`` the others."""
        running = sum(run.started for run in self._runs.values())
        return EngineHealth("fake", running, len(self._runs) - running, self.stalled_for, self._alive)

    async def events(self) -> AsyncIterator[Event]:
        """Ends when the engine is closed."""
        while (event := await self._events.get()) is not None:
            yield event

    def step(self, job_id: str | None = None, steps: int = 1) -> None:
        """Advance one job, or all, by ``steps`` steps; the last one also finishes it."""
        for _ in range(steps):
            for run in [run for key, run in self._runs.items() if job_id in (None, key)]:
                self._advance(run)

    def finish(self, job_id: str | None = None) -> None:
        """Run one job, or all, to their end."""
        while any(job_id in (None, key) for key in self._runs):
            self.step(job_id)

    def crash(self, sentence: str = "The engine's thread died; it must be restarted.") -> None:
        """Die as the real engine would: every job fails with EngineBroken, retryable; no more are taken."""
        self._alive = False
        for job_id in list(self._runs):
            del self._runs[job_id]
            self._emit(Failed(job_id, EngineBroken(sentence), retryable=True))

    async def _loop(self) -> None:
        while True:
            if not self._runs:
                self._work.clear()
                await self._work.wait()
            self.step()
            await self._pause()

    def _advance(self, run: _Run) -> None:
        if not run.started:
            run.started = True
            self._emit(Started(run.spec.job_id))
        run.step += 1
        if (failure := self._failure(run)) is not None:
            self._end(run, Failed(run.spec.job_id, failure.error, failure.retryable))
            return
        try:
            pictures = tuple(self._picture(run.spec, seed) for seed in run.spec.seeds)
        except EngineError as error:
            self._end(run, Failed(run.spec.job_id, error))
            return
        preview = None if run.spec.checks else _preview(pictures)
        self._emit(Progress(run.spec.job_id, run.step, run.spec.steps, preview))
        if run.step >= run.spec.steps:
            self._end(run, Finished(run.spec.job_id, pictures, self.estimate(run.spec)))

    def _failure(self, run: _Run) -> Failure | None:
        for word, failure in self.failures.items():
            struck = self._struck.get(word, 0)
            due = word in run.spec.prompt and run.step >= min(failure.step, run.spec.steps)
            if due and (failure.times is None or struck < failure.times):
                self._struck[word] = struck + 1
                return failure
        return None

    def _end(self, run: _Run, event: Event) -> None:
        del self._runs[run.spec.job_id]
        self._emit(event)

    def _emit(self, event: Event) -> None:
        self._events.put_nowait(event)

    def _cost_of_step(self, spec: GenerationSpec) -> float:
        return spec.count * self._seconds_per_step

    def _picture(self, spec: GenerationSpec, seed: int) -> Image.Image:
        """A gradient by its seed; what a mask keeps is kept, what is only enlarged stays itself, and what is
        blended shows through, each picture as much.
        """
        factor = self._models[spec.model].upscale * (spec.hires.scale if spec.hires else 1)
        size = (round(spec.width * factor), round(spec.height * factor))
        if spec.init is not None and spec.init.strength == 0:
            return read_picture(spec.init.data, *size)
        painted = gradient(seed, *size)
        if spec.blend:
            return Image.blend(painted, mixed([read_picture(each, *size) for each in spec.blend]), 0.8)
        if spec.init is None or spec.init.mask is None:
            return painted
        mask = softened(read_mask(spec.init.mask, *size), round(spec.init.feather * factor))
        return restored(painted, read_picture(spec.init.data, *size), mask)


def gradient(seed: int, width: int, height: int) -> Image.Image:
    """A ``width`` x ``height`` RGB gradient between two colours that only ``seed`` decides."""
    hue = seed * 0.618034 % 1.0
    dark, light = (
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb((hue + shift) % 1.0, 0.8, value))
        for shift, value in ((0.0, 0.35), (0.12, 0.95))
    )
    slope = Image.linear_gradient("L").rotate(90 * (seed % 4)).resize((width, height))
    return Image.composite(
        Image.new("RGB", (width, height), light), Image.new("RGB", (width, height), dark), slope
    )


def _preview(pictures: tuple[Image.Image, ...]) -> bytes:
    small = [picture.resize((64, 64 * picture.height // picture.width)) for picture in pictures]
    return jpeg(grid(small), 60) if small else b""


async def _yield() -> None:
    await asyncio.sleep(0)
