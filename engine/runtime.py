"""The local engine: a thread for each device, the queue that feeds them, and the one by which events leave.

Torch-free until :meth:`LocalEngine.start`; from then on torch is touched by the engine's own threads alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

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
    ModelUnavailable,
    Started,
    unusable,
)
from engine.captioner import Captioner
from engine.checks import check_spec
from engine.estimates import Estimates
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.queue import JobQueue
from engine.safety import missing
from engine.segment import Segmenter
from engine.sentence import join, say

if TYPE_CHECKING:
    from engine.core import Core

log = logging.getLogger(__name__)
STOPPED = "The engine has stopped; restart the bot."


@dataclass(frozen=True, slots=True)
class _Cancel:
    job_id: str


class _Wake:
    """There may be something to do."""


class _Close:
    """Ends a thread."""


_Message = _Cancel | _Wake | _Close
LEFT_S = 0.05
"""After which a device looks again at what it left to others."""
CLOSE_S = 5.0
"""How long :meth:`LocalEngine.close` waits for the threads."""


@dataclass(slots=True, eq=False)
class _Worker:
    """One device: its thread, what it is told, and when it last gave a sign of life."""

    place: int
    registry: Registry
    inbox: SimpleQueue[_Message] = field(default_factory=SimpleQueue)
    thread: threading.Thread | None = None
    core: Core | None = None
    described: str = ""
    loaded: bool = False
    broken: bool = False
    beat: float | None = None
    """Of the running tick; None while there is nothing to do."""

    def live(self) -> None:
        """A sign of life."""
        self.beat = time.monotonic()

    @property
    def alive(self) -> bool:
        return self.loaded and not self.broken and self.thread is not None and self.thread.is_alive()


class LocalEngine:
    """The Engine protocol on this machine's torch.

    ``device`` is ``auto``, ``cpu``, ``cuda`` (all there are), ``cuda:N``, ``mps`` or several with commas
    between, each of which gets a thread and models of its own; ``dtype`` is ``auto``, ``float32``,
    ``bfloat16`` or ``float16``; at most ``max_rows`` images share a forward pass; ``threads`` is torch's
    number of CPU threads (0: its own choice); ``preview_interval`` in seconds per job; ``segmenter`` is a
    folder of CLIPSeg, if there is one. ``memory`` and ``spare`` are bytes of models on a device and of those
    put aside in the machine's memory (None: what is there allows); ``learned`` is the file that remembers
    what jobs cost; ``compile`` is ``off``, ``blocks`` or ``graphs`` (:mod:`engine.speed`), and ``compiled``
    the folder that keeps compiled code. Raises ModelUnavailable when no model's folder can be read; the
    faults of the others are in :attr:`faults`.
    """

    def __init__(
        self,
        models: Mapping[str, ModelSource],
        *,
        device: str = "auto",
        dtype: str = "auto",
        max_rows: int = 8,
        threads: int = 0,
        preview_interval: float = 1.0,
        default: str | None = None,
        keep_models: int = 8,
        segmenter: Path | None = None,
        captioner: Path | None = None,
        memory: int | None = None,
        spare: int | None = None,
        learned: Path | None = None,
        compile: str = "off",
        compiled: Path | None = None,
    ) -> None:
        self._segmenter, self._captioner = Segmenter(segmenter), Captioner(captioner)
        self._registry = Registry(models, default, keep_models)
        self._registry.compile = compile
        self._compiled = compiled
        if not self._registry.profiles:
            raise ModelUnavailable(" ".join(map(str, self._registry.faults.values())) or "There is no model.")
        self._device, self._dtype, self._threads = device, dtype, threads
        self._memory, self._spare = memory, spare
        self._preview_interval = preview_interval
        self._estimates = Estimates(learned)
        self._queue = JobQueue(self._registry.profiles, max_rows, self._estimates)
        self._workers: list[_Worker] = []
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._active: dict[str, bool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def faults(self) -> Mapping[str, ModelUnavailable]:
        """Models that were asked for and cannot be read, with the reason."""
        return dict(self._registry.faults)

    async def start(self) -> None:
        """A thread for each device, which loads torch and the default model; EngineError if one cannot."""
        self._loop = asyncio.get_running_loop()
        first = await self._hire(0, self._registry)
        others = range(1, first)
        await asyncio.gather(*(self._hire(place, self._registry.for_another_device()) for place in others))

    async def _hire(self, place: int, registry: Registry) -> int:
        """A worker, ready; the number of devices."""
        worker = _Worker(place, registry)
        self._workers.append(worker)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        name = f"tessera-engine-{place}" if place else "tessera-engine"
        worker.thread = threading.Thread(target=self._run, args=(worker, ready), name=name, daemon=True)
        worker.thread.start()
        return await ready

    async def close(self) -> None:
        """Stop after the steps in flight; :meth:`events` ends."""
        for worker in self._workers:
            worker.inbox.put(_Close())
        for worker in self._workers:
            if worker.thread is not None:
                # A step takes less; while models load there is none to wait for, and the thread is a daemon.
                await asyncio.to_thread(worker.thread.join, CLOSE_S)
                worker.thread = None
        self._segmenter.close()
        self._captioner.close()
        await asyncio.to_thread(self._estimates.save, now=True)
        self._active.clear()
        self._events.put_nowait(None)

    def models(self) -> Mapping[str, ModelInfo]:
        """Models whose folders are whole, the default first."""
        return self._registry.models()

    def check(self, spec: GenerationSpec) -> None:
        """Raise InvalidSpec for what no model can do, ModelUnavailable where its files are not whole."""
        if (fault := self._registry.faults.get(spec.model)) is not None:
            raise unusable(spec.model) from fault
        check_spec(spec, self._registry.models())
        folder = self._registry.profiles[spec.model].source.path
        if faults := list(missing(spec.checks, folder)):
            raise InvalidSpec(join(faults, " "))

    def submit(self, spec: GenerationSpec) -> None:
        """Hand a job to the threads; raises as :meth:`check`, and EngineBroken when they are gone."""
        self.check(spec)
        if not self._alive():
            raise EngineBroken(STOPPED)
        if spec.job_id in self._active:
            raise InvalidSpec(say("Job {job} is already in the engine.", job=spec.job_id))
        self._queue.put(spec)
        self._active[spec.job_id] = False
        self._tell(_Wake())

    def cancel(self, job_id: str) -> None:
        """Ask the threads to drop a job before its next step."""
        if job_id in self._active:
            self._tell(_Cancel(job_id))

    def estimate(self, spec: GenerationSpec) -> float:
        """Device seconds of the job alone, from what like jobs took."""
        return self._estimates.expect(spec)

    def captioning(self) -> str | None:
        """Why no picture can be put into words, or None."""
        return self._captioner.fault()

    async def caption(self, picture: bytes, count: int) -> tuple[str, ...]:
        """What a picture shows, by a CPU thread of its own."""
        return await self._captioner.captions(picture, count)

    def segmentation(self) -> str | None:
        """Why no region can be named, or None."""
        return self._segmenter.fault()

    async def segment(self, picture: bytes, text: str) -> bytes:
        """The part of a picture that a text names, by a CPU thread of its own."""
        return await self._segmenter.mask(picture, text)

    def health(self) -> EngineHealth:
        """A job runs from its Started event to its end."""
        running = sum(self._active.values())
        waiting = len(self._active) - running
        now = time.monotonic()
        beats = [worker.beat for worker in self._workers if worker.alive and worker.beat is not None]
        stalled = max((now - beat for beat in beats), default=0.0) if self._active else 0.0
        described = ", ".join(worker.described for worker in self._workers) or self._device
        alive = sum(worker.alive for worker in self._workers)
        return EngineHealth(described, running, waiting, max(0.0, stalled), alive > 0, max(1, alive))

    async def events(self) -> AsyncIterator[Event]:
        """Ends when the engine is closed; one consumer."""
        while (event := await self._events.get()) is not None:
            yield event

    def _alive(self) -> bool:
        return any(worker.alive for worker in self._workers)

    def _tell(self, message: _Message) -> None:
        for worker in self._workers:
            worker.inbox.put(message)

    def _run(self, worker: _Worker, ready: asyncio.Future[int]) -> None:
        """The thread: build, tell that it is ready, serve until closed or broken."""
        outbox: list[Event] = []
        try:
            devices = self._build(worker, outbox.append)
        except Exception as error:
            fault = (
                error if isinstance(error, EngineError) else EngineError(f"The engine cannot start: {error}")
            )
            self._call(partial(_resolve, ready, fault))
            return
        worker.loaded = True
        self._call(partial(_resolve, ready, devices))
        try:
            self._serve(worker, outbox)
        except BaseException as error:
            log.critical("the engine's thread died: %s", error, exc_info=error)
            worker.broken = True
            self._send(outbox)
            held = worker.core.abandon() if worker.core else ()
            self._call(partial(self._break, held))

    def _build(self, worker: _Worker, emit: Callable[[Event], None]) -> int:
        """Make the worker's core, load its first model; the number of devices."""
        import torch

        from engine.core import Core
        from engine.device import claim, describe, keep_memory, pick_devices, pick_dtypes, room
        from engine.speed import buckets, prepare_cache

        if self._threads:
            torch.set_num_threads(self._threads)
        prepare_cache(self._compiled)
        devices = pick_devices(self._device)
        device = devices[worker.place]
        worker.described = describe(device)
        claim(device)
        keep_memory(device)
        dtype, large = pick_dtypes(self._dtype, device)
        if not worker.place:
            numbers = f"{dtype}" if large == dtype else f"{dtype} and {large}"
            self._estimates.concern(f"{worker.described}, {numbers}")
        memory, spare = room(device, len(devices))
        worker.registry.limit(
            memory if self._memory is None else self._memory, spare if self._spare is None else self._spare
        )
        worker.core = Core(
            worker.registry,
            emit,
            device=device,
            dtype=dtype,
            large_dtype=large,
            preview_interval=self._preview_interval,
            queue=self._queue,
            place=worker.place,
            sizes=buckets(worker.registry.compile),
            beat=worker.live,
        )
        _load_first(worker.core, list(self._registry.profiles))
        return len(devices)

    def _serve(self, worker: _Worker, outbox: list[Event]) -> None:
        """Hear what is new, tick, let the events go; block only while there is nothing to do."""
        core = worker.core
        assert core is not None
        while True:
            for message in _messages(worker, None if not core.busy else LEFT_S if core.idle else 0.0):
                if isinstance(message, _Close):
                    core.settle()
                    return
                if isinstance(message, _Cancel):
                    core.cancel(message.job_id)
            worker.live()
            core.tick()
            self._send(outbox)
            self._estimates.save()

    def _send(self, outbox: list[Event]) -> None:
        """One crossing into the event loop for all events of a tick."""
        if outbox:
            events = tuple(outbox)
            outbox.clear()
            self._call(partial(self._receive, events))

    def _call(self, action: Callable[[], object]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:
            log.debug("the event loop is gone; its events are dropped")

    def _receive(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Started):
                self._active[event.job_id] = True
            elif isinstance(event, Finished | Failed | Cancelled):
                self._active.pop(event.job_id, None)
            self._events.put_nowait(event)

    def _break(self, held: Collection[str]) -> None:
        """The jobs of a device that is lost may be tried again by another, or after a restart; with the last
        device all that are left.
        """
        if self._alive():
            error = EngineBroken(say("A device stopped working."))
        else:
            error = EngineBroken(say("The engine stopped working; tell those who run this bot."))
            held = tuple(self._active)
        lost = tuple(Failed(job_id, error, retryable=True) for job_id in held if job_id in self._active)
        self._receive(lost)


def _messages(worker: _Worker, wait: float | None) -> list[_Message]:
    """What the worker was told since it last asked; waits so many seconds for something, None: as long as it
    takes.
    """
    messages: list[_Message] = []
    if wait != 0:
        worker.beat = None
        with suppress(Empty):
            messages.append(worker.inbox.get(timeout=wait))
    while True:
        try:
            messages.append(worker.inbox.get_nowait())
        except Empty:
            return messages


def _resolve(future: asyncio.Future[int], result: int | Exception) -> None:
    """Settle a future that its waiter may have given up."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _load_first(core: Core, names: list[str]) -> None:
    """Load the default; where it cannot be, the first other that can, so that the bot serves something."""
    from engine.memory import is_out_of_memory

    faults = []
    for name in names:
        try:
            core.family(name)
        except Exception as fault:
            if not isinstance(fault, ModelUnavailable) and not is_out_of_memory(fault):
                raise
            log.error("model %s cannot be loaded: %s", name, fault)
            faults.append(str(fault))
        else:
            return
    raise ModelUnavailable(" ".join(faults))
