"""The torch-free face of the engine: what the bot says to it and what it hears back.

A generation is a function of its :class:`GenerationSpec`: the same spec gives the same pictures, whether it
ran alone or beside others (fp32: max abs difference <= 1e-5 on [0, 1]).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from PIL import Image

from engine.images import apart as apart
from engine.images import grid as grid  # previews and results are laid out alike
from engine.samplers import sampler_choice as sampler_choice
from engine.samplers import sampler_name as sampler_name
from engine.sentence import Sentence, say

MOST_PARTS = 8
"""Most parts of a prompt that AND joins: each is a row of its own in the forward pass."""
BLEND = (2, 5)
"""Fewest and most pictures of a blend."""
BLEND_STRENGTH = 0.6
"""Of the denoising of pictures that are mixed without an IP-Adapter: enough to make one thing of what lies
upon each other, too little to lose it.
"""


class EngineError(Exception):
    """Root of everything the engine raises or reports; ``str(error)`` is a sentence fit for a user."""


class InvalidSpec(EngineError):
    """No loaded model can do this spec; raised by ``check`` and ``submit`` before anything is queued."""


class ModelUnavailable(EngineError):
    """The model's files are missing, cut short or of another architecture; the message names the file, and is
    the operator's. What members read of it is :func:`unusable`.
    """


def unusable(model: str) -> ModelUnavailable:
    """Without a path, and with what to do; the reason is in the log, and in ``tessera models check``."""
    return ModelUnavailable(
        say(
            "The model {model} cannot be used here now, since something that it needs is missing or damaged; "
            "choose another model, and tell those who run this bot.",
            model=model,
        )
    )


class OutOfMemory(EngineError):
    """The device ran out of memory and every smaller way was tried."""


class HeldBack(EngineError):
    """A picture failed a check that the spec asked for; it was painted, and does not leave the engine."""


class EngineBroken(EngineError):
    """The engine cannot go on without a restart (a CUDA assert, a dead thread); jobs are to be retried."""


class Lane(StrEnum):
    """Priority of a job: turbo before fast before relaxed work."""

    TURBO = "turbo"
    FAST = "fast"
    RELAX = "relax"


@dataclass(frozen=True, slots=True)
class InitImage:
    """A picture to start from. ``strength`` in [0, 1]: 1 ignores the picture, 0 returns it (SDEdit)."""

    data: bytes = field(repr=False)
    """An encoded picture (PNG, JPEG, WebP) that was already checked by the bot."""
    strength: float
    mask: bytes | None = field(default=None, repr=False)
    """An encoded grey picture of the same size: white is painted anew, black is kept. None paints it all."""
    feather: int = 0
    """Pixels over which the mask's edge is softened."""


class ReferenceKind(StrEnum):
    """What a reference picture lends: its style (--sref), or who is in it (--cref, --oref)."""

    STYLE = "style"
    CHARACTER = "character"

    @property
    def said(self) -> Sentence:
        """Its name in a sentence."""
        return say("style") if self is ReferenceKind.STYLE else say("character")


@dataclass(frozen=True, slots=True)
class Reference:
    """A picture that guides through an IP-Adapter (Ye et al. 2023, arXiv:2308.06721)."""

    data: bytes = field(repr=False)
    """An encoded picture, already checked by the bot."""
    kind: ReferenceKind
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass: what was painted (or ``init`` at strength 0) is enlarged, then denoised again.

    ``scale`` times the size by the upscaler; ``strength`` in [0, 1] as :class:`InitImage` has it: 0 only
    enlarges (a subtle upscale), 0.3 adds detail (a creative one).
    """

    scale: float
    strength: float


@dataclass(frozen=True, slots=True)
class Variation:
    """Noise moved from each image's seed towards another: slerp(noise(seed), noise(other), strength)."""

    seed: int
    strength: float
    """In [0, 1]; 0 is the original noise."""


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """Everything a job's pictures depend on, and who pays for them."""

    job_id: str
    model: str
    prompt: str
    seeds: tuple[int, ...]
    """One seed in [0, 2**32) per image; image i is what this spec with ``seeds=(seeds[i],)`` gives alone."""
    width: int
    """Pixels of the denoised picture, a multiple of ``size_multiple``; shown at ``upscale`` times."""
    height: int
    steps: int
    guidance_scale: float
    sampler: str
    """One of ``ModelInfo.samplers``, in any spelling that :func:`sampler_name` understands."""
    negative_prompt: str = ""
    init: InitImage | None = None
    variation: Variation | None = None
    stop: float = 1.0
    """Share of the steps after which to stop and decode, in (0, 1] (Midjourney's --stop / 100)."""
    tile: bool = False
    """Circular padding, so that the picture's edges meet."""
    user: str = ""
    """Whose share of the device this is counted against."""
    lane: Lane = Lane.FAST
    share: float = 1.0
    """Weight of the user among others: with 2.0 twice the device time of one with 1.0."""
    loras: tuple[tuple[str, float], ...] = ()
    """Names from ``ModelInfo.loras`` with their weights, applied together."""
    references: tuple[Reference, ...] = ()
    blend: tuple[bytes, ...] = field(default=(), repr=False)
    """Encoded pictures, already checked by the bot, that are mixed in equal parts: by what an IP-Adapter sees
    in them, else by their noised latents. Takes the place of ``init``; the prompt may be empty.
    """
    hires: Hires | None = None
    checks: tuple[str, ...] = ()
    """Names of picture checks (``engine.safety``) that every picture must pass; else the job fails."""

    @property
    def count(self) -> int:
        """Number of images = rows in a batch."""
        return len(self.seeds)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the bot must know of a model to build valid specs for it."""

    name: str
    family: str
    description: str
    native_size: int
    """Side of the square, in pixels, the model was trained on."""
    size_multiple: int
    min_size: int
    max_size: int
    upscale: int
    """Factor of the engine's upscaler after decoding; 1 leaves the picture as it is."""
    steps: int
    """Default number of steps."""
    max_steps: int
    guidance_scale: float
    sampler: str
    samplers: tuple[str, ...]
    """Samplers this model accepts, by the names people know."""
    min_steps: int = 1
    negative_prompt: bool = True
    image_to_image: bool = True
    stop: bool = True
    """Honours ``GenerationSpec.stop`` and ``variation``."""
    tile: bool = True
    """Honours ``GenerationSpec.tile``."""
    inpaint: bool = False
    """Honours ``InitImage.mask``."""
    references: tuple[ReferenceKind, ...] = ()
    """Kinds of reference pictures it takes (an IP-Adapter is there)."""
    style_apart: bool = True
    """Takes nothing but the style of a style reference; otherwise what it shows comes with it."""
    unfit_references: str = ""
    """Why the IP-Adapter that is configured for it is not used; names files, for the operator."""
    blend: bool = False
    """Honours ``GenerationSpec.blend``, with an IP-Adapter or without."""
    prompt_weights: bool = False
    """Understands ``(a:1.2)``, ``[a:b:0.5]``, ``AND`` and ``BREAK``, and texts longer than its encoder."""
    loras: tuple[str, ...] = ()
    """LoRAs that fit it, by name."""
    unfit_loras: Mapping[str, str] = field(default_factory=dict)
    """Why each of the others does not, without a path."""
    hires: bool = False
    """Paints a second pass; a mere enlargement (``Hires.strength`` 0) works with every model."""
    most_detail: float = 1.0
    """Largest strength at which a second pass adds detail rather than debris."""
    reach: int = 2**16
    """Pixels of a side that a second pass may have: as far as the denoiser has positions."""


@dataclass(frozen=True, slots=True)
class Started:
    """The first denoising step of the job is about to run (or its model is being loaded)."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``step`` of ``steps`` are done; ``preview`` is a small encoded JPEG grid, or None when not due."""

    job_id: str
    step: int
    steps: int
    preview: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """All pictures of a job, RGB, in the order of ``spec.seeds``; device seconds this job was charged."""

    job_id: str
    images: tuple[Image.Image, ...] = field(repr=False)
    gpu_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended in an error of its own; ``retryable`` says that a second attempt makes sense."""

    job_id: str
    error: EngineError
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was dropped on request; device seconds spent on it until then."""

    job_id: str
    gpu_seconds: float = 0.0


Event = Started | Progress | Finished | Failed | Cancelled


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """A snapshot for readiness checks; ``stalled_for`` counts seconds since the last tick while busy."""

    device: str
    running: int
    waiting: int
    stalled_for: float
    alive: bool
    devices: int = 1
    """How many paint at the same time."""


class Engine(Protocol):
    """What stands behind the bot: the local torch engine or the scripted one of ``engine.fake``.

    All methods are called from the event loop and none of them blocks it.
    """

    async def start(self) -> None:
        """Start the GPU thread and load what must be loaded; raises EngineError when nothing can run."""

    async def close(self) -> None:
        """Stop after the step in flight; unfinished jobs are dropped without an event."""

    def models(self) -> Mapping[str, ModelInfo]:
        """Models by name, the default first; known before ``start`` (read from their folders, no weights)."""

    def check(self, spec: GenerationSpec) -> None:
        """Raise InvalidSpec (or ModelUnavailable) with a sentence if the spec cannot be done."""

    def submit(self, spec: GenerationSpec) -> None:
        """Check, then hand the job to the GPU thread; its events follow, exactly one of them final."""

    def cancel(self, job_id: str) -> None:
        """Ask for the job to be dropped within one step; unknown or finished ids are ignored."""

    def estimate(self, spec: GenerationSpec) -> float:
        """Expected device seconds of the job alone, learned from what ran before."""

    def captioning(self) -> str | None:
        """Why :meth:`caption` cannot be used, as a sentence; None where it can."""

    async def caption(self, picture: bytes, count: int) -> tuple[str, ...]:
        """Up to ``count`` different texts that say what an encoded picture shows, the likeliest first.

        EngineError says why there is none.
        """

    def segmentation(self) -> str | None:
        """Why :meth:`segment` cannot be used, as a sentence; None where it can."""

    async def segment(self, picture: bytes, text: str) -> bytes:
        """A grey PNG of the picture's size, white where ``text`` names what is there; EngineError if nowhere.

        The same picture and text give the same mask.
        """

    def health(self) -> EngineHealth:
        """Never blocks."""

    def events(self) -> AsyncIterator[Event]:
        """The stream of events; exactly one consumer."""
