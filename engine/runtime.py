"""The local engine: its thread, the inbox that feeds it, and the one queue through which events leave.

Torch-free until :meth:`LocalEngine.start`; from then on torch is touched by the engine's own thread alone.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
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
)
from engine.checks import check_spec
from engine.estimates import Estimates
from engine.models.registry import Registry
from engine.profile import ModelSource
from engine.safety import missing
from engine.segment import Segmenter

if TYPE_CHECKING:
    from engine.core import Core

log = logging.getLogger(__name__)
STOPPED = "The engine has stopped; restart the bot."


@dataclass(frozen=True, slots=True)
class _Cancel:
    job_id: str


class _Close:
    """Ends the thread."""


_Message = GenerationSpec | _Cancel | _Close


CLOSE_S = 5.0
"""How long :meth:`LocalEngine.close` waits for the thread."""


class LocalEngine:
    """The Engine protocol on this machine's torch.

    ``device`` is ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``dtype`` is ``auto``, ``float32``,
    ``bfloat16`` or ``float16``; at most ``max_rows`` images share a forward pass; ``threads`` is torch's
    number of CPU threads (0: its own choice); ``preview_interval`` in seconds per job; ``segmenter`` is a
    folder of CLIPSeg, if there is one. Raises
    ModelUnavailable when no model's folder can be read; the faults of the others are in :attr:`faults`.
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
        keep_models: int = 2,
        segmenter: Path | None = None,
    ) -> None:
        self._segmenter = Segmenter(segmenter)
        self._registry = Registry(models, default, keep_models)
        if not self._registry.profiles:
            raise ModelUnavailable(" ".join(map(str, self._registry.faults.values())) or "There is no model.")
        self._device, self._dtype, self._threads = device, dtype, threads
        self._max_rows, self._preview_interval = max_rows, preview_interval
        self._described = device
        self._estimates = Estimates()
        self._inbox: SimpleQueue[_Message] = SimpleQueue()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._active: dict[str, bool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._loaded = False
        self._broken = False
        self._beat = time.monotonic()

    @property
    def faults(self) -> Mapping[str, ModelUnavailable]:
        """Models that were asked for and cannot be read, with the reason."""
        return dict(self._registry.faults)

    async def start(self) -> None:
        """Start the thread, load torch and the default model there; EngineError when no model can be."""
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="tessera-engine", daemon=True)
        self._thread.start()
        await ready

    async def close(self) -> None:
        """Stop after the step in flight; :meth:`events` ends."""
        self._inbox.put(_Close())
        if self._thread is not None:
            # A step takes less; while models load there is no step to wait for, and the thread is a daemon.
            await asyncio.to_thread(self._thread.join, CLOSE_S)
            self._thread = None
        self._segmenter.close()
        self._active.clear()
        self._events.put_nowait(None)

    def models(self) -> Mapping[str, ModelInfo]:
        """Models whose folders are whole, the default first."""
        return self._registry.models()

    def check(self, spec: GenerationSpec) -> None:
        """Raise InvalidSpec for what no model can do, ModelUnavailable where its files are not whole."""
        if (fault := self._registry.faults.get(spec.model)) is not None:
            raise fault
        check_spec(spec, self._registry.models())
        folder = self._registry.profiles[spec.model].source.path
        if faults := list(missing(spec.checks, folder)):
            raise InvalidSpec(" ".join(faults))

    def submit(self, spec: GenerationSpec) -> None:
        """Hand a job to the thread; raises as :meth:`check`, and EngineBroken when the thread is gone."""
        self.check(spec)
        if not self._alive():
            raise EngineBroken(STOPPED)
        if spec.job_id in self._active:
            raise InvalidSpec(f"Job {spec.job_id} is already in the engine.")
        if not self._active:
            self._beat = time.monotonic()
        self._active[spec.job_id] = False
        self._inbox.put(spec)

    def cancel(self, job_id: str) -> None:
        """Ask the thread to drop a job before its next step."""
        if job_id in self._active:
            self._inbox.put(_Cancel(job_id))

    def estimate(self, spec: GenerationSpec) -> float:
        """Device seconds of the job alone, from what like jobs took."""
        return self._estimates.expect(spec)

    def segmentation(self) -> str | None:
        """Why no region can be named, or None."""
        return self._segmenter.fault()

    async def segment(self, picture: bytes, text: str) -> bytes:
        """The part of a picture that a text names, by a CPU thread of its own."""
        return await self._segmenter.mask(picture, text)

    def health(self) -> EngineHealth:
        """A job runs from its Started event to its end."""
        running = sum(self._active.values())
        stalled = time.monotonic() - self._beat if self._active else 0.0
        waiting = len(self._active) - running
        return EngineHealth(self._described, running, waiting, max(0.0, stalled), self._alive())

    async def events(self) -> AsyncIterator[Event]:
        """Ends when the engine is closed; one consumer."""
        while (event := await self._events.get()) is not None:
            yield event

    def _alive(self) -> bool:
        return self._loaded and self._thread is not None and self._thread.is_alive() and not self._broken

    def _run(self, ready: asyncio.Future[None]) -> None:
        """The thread: build, tell that it is ready, serve until closed or broken."""
        outbox: list[Event] = []
        try:
            core = self._build(outbox.append)
        except Exception as error:
            fault = (
                error if isinstance(error, EngineError) else EngineError(f"The engine cannot start: {error}")
            )
            self._call(partial(_resolve, ready, fault))
            return
        self._loaded = True
        self._call(partial(_resolve, ready))
        try:
            self._serve(core, outbox)
        except BaseException as error:
            log.critical("the engine's thread died: %s", error, exc_info=error)
            self._broken = True
            self._send(outbox)
            self._call(partial(self._break, str(error)))

    def _build(self, emit: Callable[[Event], None]) -> Core:
        import torch

        from engine.core import Core
        from engine.device import describe, pick_device, pick_dtype

        if self._threads:
            torch.set_num_threads(self._threads)
        device = pick_device(self._device)
        self._described = describe(device)
        core = Core(
            self._registry,
            emit,
            device=device,
            dtype=pick_dtype(self._dtype, device),
            max_rows=self._max_rows,
            preview_interval=self._preview_interval,
            estimates=self._estimates,
        )
        _load_first(core, list(self._registry.profiles))
        return core

    def _serve(self, core: Core, outbox: list[Event]) -> None:
        """Drain the inbox, tick, let the events go; block only while there is nothing to do."""
        while True:
            for message in self._messages(wait=not core.busy):
                if isinstance(message, _Close):
                    return
                if isinstance(message, _Cancel):
                    core.cancel(message.job_id)
                else:
                    core.submit(message)
            self._beat = time.monotonic()
            core.tick()
            self._send(outbox)

    def _messages(self, wait: bool) -> list[_Message]:
        messages = [self._inbox.get()] if wait else []
        while True:
            try:
                messages.append(self._inbox.get_nowait())
            except Empty:
                return messages

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

    def _break(self, reason: str) -> None:
        """Every job that is left may be tried again by another engine, or after a restart."""
        broken = EngineBroken(f"The engine stopped working: {reason}. The bot must be restarted.")
        self._receive(tuple(Failed(job_id, broken, retryable=True) for job_id in self._active))


def _resolve(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Settle a future that its waiter may have given up."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _load_first(core: Core, names: list[str]) -> None:
    """Load the default; where it cannot be, the first other that can, so that the bot serves something."""
    faults = []
    for name in names:
        try:
            core.family(name)
        except ModelUnavailable as fault:
            log.error("%s", fault)
            faults.append(str(fault))
        else:
            return
    raise ModelUnavailable(" ".join(faults))
