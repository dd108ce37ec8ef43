"""A job's way through the device: prepare, predict, advance, estimate, decode. No queues, no events."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image

from engine import blending
from engine.api import BLEND_STRENGTH, EngineError, GenerationSpec, InitImage
from engine.conditioning import Conditioning, stack
from engine.inpainting import Kept, beside, mask_of_latents, noised
from engine.masks import Mask, in_shape, mixed, read_mask, read_picture, restored, softened
from engine.memory import in_less_memory
from engine.models.base import LatentSampler, ModelFamily, OwnCourse, OwnWay
from engine.prompting import timeline
from engine.samplers import EDM, EPSILON, FLOW, SAMPLE, prediction_of
from engine.sentence import say
from engine.speed import fill, filled

_Shape = tuple[int, int, int]
FLAT = 2
"""Span of values, of 255, up to which a frame counts as empty."""

PASS_ROWS, PASS_BRANCHES = 32, 4
"""Rows that may run at once whatever they are, and for each image: prompts joined with AND have many."""


class BrokenFrame(EngineError):
    """What a model painted is no picture: NaN, or one colour all over."""


@dataclass(slots=True)
class Rows:
    """Images of one job that step together: latents (n, C, h, w), a scheduler and generators of their own."""

    family: ModelFamily
    spec: GenerationSpec
    scheduler: Any
    timesteps: torch.Tensor
    end: int
    """Number of timesteps to do; fewer than there are with ``spec.stop``."""
    latents: torch.Tensor
    cond: Conditioning
    """n rows for each branch of guidance, branch after branch."""
    step_options: dict[str, Any]
    moments: tuple[GenerationSpec, ...]
    """The spec at each timestep; ``spec`` is the one of the next."""
    kept: Kept | None = field(default=None, repr=False)
    beside: torch.Tensor | None = field(default=None, repr=False)
    """(n, c, h, w) that an inpainting model takes beside the latents."""
    pictures: tuple[Image.Image, ...] = field(default=(), repr=False)
    """What is painted over, one or n of them; with a mask what it keeps is put back from here."""
    before: int = 0
    """Steps of an earlier pass."""
    after: int = 0
    """Steps of a pass to come."""
    step: int = 0
    clean: torch.Tensor | None = field(default=None, repr=False)
    """Estimate of the finished latents by the last step that asked for it."""
    pixels: torch.Tensor | None = field(default=None, repr=False)
    """(n, 3, H, W) in [0, 1], where :func:`decode_together` was here."""

    @property
    def count(self) -> int:
        """Images."""
        return self.latents.shape[0]

    @property
    def cost(self) -> int:
        """Rows in a forward pass."""
        return self.cond.rows

    @property
    def branches(self) -> int:
        """Times that the model sees each image in a step: 2 with guidance."""
        return self.cost // self.count

    @property
    def edges_meet(self) -> bool:
        """Whether the next step is one of a tile; some models lay out a picture by its borders first."""
        if not self.spec.tile:
            return False
        schedule = len(self.scheduler.timesteps)
        return schedule - len(self.timesteps) + self.step >= self.family.profile.tile_after * schedule

    @property
    def told(self) -> tuple[int, int]:
        """Steps done, and all there are, over all passes."""
        return self.before + self.step, self.before + self.end + self.after

    @property
    def done(self) -> bool:
        """No step is left."""
        return self.step >= self.end


def begin(family: ModelFamily | OwnWay, spec: GenerationSpec, seeds: Sequence[int]) -> Rows | OwnCourse:
    """What steps for some images of a job: rows that others join, or a course of their own."""
    if not isinstance(family, OwnWay):
        return prepare(family, spec, seeds)
    if spec.init is not None and spec.init.strength == 0:
        return _Given(family, spec, (_shown(spec),) * len(seeds))
    return family.begin(spec, seeds)


@dataclass(slots=True)
class _Given(OwnCourse):
    """No turn at all: the pictures are those that were given."""

    family: OwnWay
    spec: GenerationSpec
    given: tuple[Image.Image, ...] = field(repr=False)
    cost: int = 1
    step: int = 0
    clean: torch.Tensor | None = None

    @property
    def count(self) -> int:
        """Images."""
        return len(self.given)

    @property
    def end(self) -> int:
        """No turns."""
        return 0

    @property
    def done(self) -> bool:
        """From the beginning."""
        return True

    def take_turn(self, want_clean: bool) -> None:
        """Nothing is left to do."""

    def pictures(self) -> list[Image.Image]:
        """As they are."""
        return list(self.given)

    def close(self) -> None:
        """Nothing is held."""


@torch.inference_mode()
def prepare(
    family: ModelFamily,
    spec: GenerationSpec,
    seeds: Sequence[int],
    pictures: Sequence[Image.Image] = (),
    before: int = 0,
) -> Rows:
    """Everything the first step needs; draws from the generators in the stock pipeline's order.

    ``pictures``, one for each seed, stand in for the one of ``spec.init``; ``before`` steps were done.
    """
    if spec.init is not None and spec.init.strength == 0:
        return _as_given(family, spec, len(seeds))
    if spec.blend and not pictures and not family.profile.adapter:
        spec = replace(spec, init=InitImage(b"", BLEND_STRENGTH))
    family.wear(spec.loras)
    scheduler, timesteps = _schedule(family, spec)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    start = _start(family, spec, scheduler, timesteps, generators, pictures)
    end = max(1, math.ceil(len(timesteps) * spec.stop))
    moments = _moments(family, spec, len(timesteps))
    return Rows(
        family=family,
        spec=moments[0],
        scheduler=scheduler,
        timesteps=timesteps,
        end=end,
        latents=start.latents,
        cond=family.condition(moments[0]).repeat(len(seeds)),
        step_options=_step_options(scheduler.__class__, generators),
        moments=moments,
        kept=start.kept,
        beside=start.beside,
        pictures=start.pictures,
        before=before,
        after=_steps_after(family, spec),
    )


def _as_given(family: ModelFamily, spec: GenerationSpec, count: int) -> Rows:
    """No step at all: the pictures are those that were given, of whatever size, in the shape of the spec."""
    shape = family.latent_shape(spec)
    return Rows(
        family=family,
        spec=spec,
        scheduler=None,
        timesteps=torch.empty(0),
        end=0,
        latents=torch.empty((count, *shape), device=family.device),
        cond=Conditioning(torch.empty((count, 0, 0), device=family.device)),
        step_options={},
        moments=(),
        pictures=(_shown(spec),) * count,
        after=_steps_after(family, spec),
    )


def _shown(spec: GenerationSpec) -> Image.Image:
    """The picture of ``spec.init``, of whatever size, in the shape of the spec."""
    assert spec.init is not None
    return in_shape(spec.init.data, spec.width / spec.height)


def second_pass(spec: GenerationSpec, multiple: int) -> GenerationSpec | None:
    """The pass that ``spec.hires`` asks for after the first, from given pictures of its size."""
    if spec.hires is None or spec.hires.strength == 0:
        return None
    width, height = (
        max(multiple, round(side * spec.hires.scale / multiple) * multiple)
        for side in (spec.width, spec.height)
    )
    grown = width / spec.width
    init = replace(
        spec.init or InitImage(b"", 1.0),
        strength=spec.hires.strength,
        feather=round(spec.init.feather * grown) if spec.init else 0,
    )
    return replace(spec, width=width, height=height, init=init, hires=None, variation=None, stop=1.0)


def _schedule(family: ModelFamily, spec: GenerationSpec) -> tuple[Any, torch.Tensor]:
    """A scheduler, and the timesteps to do of it."""
    scheduler = family.scheduler(spec)
    begin = family.skipped(spec) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        # Without it a scheduler searches for its first timestep, and goes wrong where two are equal.
        scheduler.set_begin_index(begin)
    return scheduler, scheduler.timesteps[begin:]


def _steps_after(family: ModelFamily, spec: GenerationSpec) -> int:
    second = second_pass(spec, family.profile.info.size_multiple)
    return len(_schedule(family, second)[1]) if second else 0


def _moments(family: ModelFamily, spec: GenerationSpec, calls: int) -> tuple[GenerationSpec, ...]:
    """``spec`` as each call of the model has it: a prompt's edits change it on the way."""
    if not family.profile.info.prompt_weights:
        return (spec,) * calls
    texts = zip(
        timeline(spec.prompt, spec.steps, calls),
        timeline(spec.negative_prompt, spec.steps, calls),
        strict=True,
    )
    moments = [spec]
    for prompt, negative in texts:
        same = (moments[-1].prompt, moments[-1].negative_prompt) == (prompt, negative)
        moments.append(moments[-1] if same else replace(spec, prompt=prompt, negative_prompt=negative))
    return tuple(moments[1:])


class Batcher:
    """Predictions for several :class:`Rows` in one forward pass; keeps the stacked conditioning.

    Passes are filled up to one of ``sizes`` (none: they are as large as they are).
    """

    def __init__(self, sizes: tuple[int, ...] = ()) -> None:
        self._sizes = sizes
        self._stacked: tuple[Conditioning, ...] = ()
        self._most = 0
        self._chunks: list[Conditioning] = []

    @torch.inference_mode()
    def predict(self, parts: Sequence[Rows | OwnCourse], most: int) -> list[torch.Tensor]:
        """The guided prediction (n, C, h, w) of each part; at most ``most`` rows run at once.

        Those that go their own way predict as they advance.
        """
        rows = [part for part in parts if isinstance(part, Rows)]
        answers: dict[int, torch.Tensor] = {}
        for tile in (False, True):
            alike = [row for row in rows if row.edges_meet is tile]
            if alike:
                answers.update(zip(map(id, alike), self._predict(alike, most, tile), strict=True))
        return [answers.get(id(part), torch.empty(0)) for part in parts]

    def _predict(self, parts: Sequence[Rows], most: int, tile: bool) -> list[torch.Tensor]:
        most = min(most, max(PASS_ROWS, PASS_BRANCHES * sum(part.count for part in parts)))
        inputs, times = zip(*(_model_input(part) for part in parts), strict=True)
        latents, timesteps = (torch.split(torch.cat(rows), most) for rows in (inputs, times))
        family = parts[0].family
        family.wear(parts[0].spec.loras)
        outputs = [
            self._denoised(family, fill(chunk, cond.rows), fill(times, cond.rows), cond, tile)[: len(chunk)]
            for chunk, times, cond in zip(latents, timesteps, self._conditioning(parts, most), strict=True)
        ]
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        predictions = torch.split(whole, [part.cost for part in parts])
        return [
            part.family.guide(part.spec, prediction.chunk(part.branches))
            for part, prediction in zip(parts, predictions, strict=True)
        ]

    def _denoised(
        self,
        family: ModelFamily,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        cond: Conditioning,
        tile: bool,
    ) -> torch.Tensor:
        """One pass. Compiled blocks that replay as CUDA graphs share their memory from one such mark on."""
        if self._sizes and family.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return family.denoise(latents, timesteps, cond, tile)

    def _conditioning(self, parts: Sequence[Rows], most: int) -> list[Conditioning]:
        """Of each pass, as large as it is filled up to."""
        wanted = tuple(part.cond for part in parts)
        same = len(wanted) == len(self._stacked) and all(map(operator.is_, wanted, self._stacked))
        if not same or most != self._most:
            self._chunks = [self._filled(chunk) for chunk in stack(wanted).split(most)]
            self._stacked, self._most = wanted, most
        return self._chunks

    def _filled(self, cond: Conditioning) -> Conditioning:
        more = filled(cond.rows, self._sizes) - cond.rows
        return cond[[*range(cond.rows), *[cond.rows - 1] * more]] if more else cond


def advance(
    part: Rows | OwnCourse,
    prediction: torch.Tensor,
    want_clean: bool,
    ease: Callable[[], bool] = lambda: False,
) -> None:
    """One step of the job's scheduler; with ``want_clean`` (and where a job stops early) also an estimate.
    ``ease`` frees memory for the next step's texts, where they are others.
    """
    if isinstance(part, OwnCourse):
        part.take_turn(want_clean)
        return
    _advance(part, prediction, want_clean)
    if not part.done and part.moments[part.step] is not part.spec:
        part.spec = part.moments[part.step]
        in_less_memory(partial(_reword, part), ease)


@torch.inference_mode()
def _advance(part: Rows, prediction: torch.Tensor, want_clean: bool) -> None:
    timestep = part.timesteps[part.step]
    stops = part.step + 1 == part.end < len(part.timesteps)
    if want_clean or stops:
        part.clean = _estimate(part, prediction, timestep)
    part.latents = part.scheduler.step(
        prediction, timestep, part.latents, **part.step_options, return_dict=False
    )[0]
    part.step += 1
    if stops and part.clean is not None:
        part.latents = part.clean
    if part.kept is not None:
        coming = None if part.done else part.timesteps[part.step]
        part.latents = part.kept.blend(part.scheduler, part.latents, coming)


@torch.inference_mode()
def _reword(part: Rows) -> None:
    part.family.wear(part.spec.loras)
    part.cond = part.family.condition(part.spec).repeat(part.count)


@torch.inference_mode()
def decode(part: Rows | OwnCourse, first: int = 0, most: int | None = None) -> list[Image.Image]:
    """The finished pictures, of rows at most ``most`` from the one at ``first`` on, all at once. BrokenFrame
    when one is not a picture.
    """
    if isinstance(part, OwnCourse):
        return part.pictures()
    chosen = slice(first, None if most is None else first + most)
    pictures = part.pictures if len(part.pictures) == 1 else part.pictures[chosen]
    if part.end == 0:
        return list(pictures)
    if part.pixels is None:
        pixels = part.family.decode(part.latents[chosen], part.spec.tile)
    else:
        pixels = part.pixels[chosen]
    return put_back(part.spec, checked_pictures(pixels), pictures)


@torch.inference_mode()
def decode_together(parts: Sequence[Rows]) -> None:
    """The pixels of several jobs, which could share their steps, by one pass of the autoencoder."""
    latents = torch.cat([part.latents for part in parts])
    pixels = parts[0].family.decode(latents, parts[0].spec.tile)
    for part, own in zip(parts, torch.split(pixels, [part.count for part in parts]), strict=True):
        part.pixels = own


def put_back(
    spec: GenerationSpec, images: list[Image.Image], pictures: tuple[Image.Image, ...]
) -> list[Image.Image]:
    """With a mask, the pixels that it keeps are those of the ``pictures``, one or as many as ``images``."""
    soft = soft_mask(spec)
    if soft is None:
        return images
    kept = pictures * (len(images) // len(pictures))
    return [restored(image, picture, soft) for image, picture in zip(images, kept, strict=True)]


def checked_pictures(pixels: torch.Tensor) -> list[Image.Image]:
    """RGB pictures of (n, 3, H, W) in [0, 1]; EngineError when a frame holds NaN or one colour only."""
    if not bool(torch.isfinite(pixels).all()):
        raise BrokenFrame(
            say("The model returned no numbers for this picture; try another seed or fewer flags.")
        )
    images = to_pictures(pixels)
    if any(_span(image) <= FLAT for image in images):
        raise BrokenFrame(say("The model painted an empty frame; try another seed or another prompt."))
    return images


def to_pictures(pixels: torch.Tensor) -> list[Image.Image]:
    """RGB pictures of (n, 3, H, W) in [0, 1], unchecked."""
    rounded = (pixels * 255).round().to(torch.uint8).movedim(1, -1).cpu().numpy()
    return [Image.fromarray(np.ascontiguousarray(frame)) for frame in rounded]


def _span(image: Image.Image) -> int:
    """Difference between the darkest and the lightest value of any channel."""
    extrema = np.asarray(image.getextrema())
    return int((extrema[:, 1] - extrema[:, 0]).max())


def _noise(family: ModelFamily, spec: GenerationSpec, generators: list[torch.Generator]) -> torch.Tensor:
    shape: _Shape = family.latent_shape(spec)
    place: dict[str, Any] = {"device": family.device, "dtype": torch.float32}
    noise: torch.Tensor = randn_tensor((len(generators), *shape), generator=generators, **place)
    if spec.variation is None:
        return noise
    other = torch.Generator().manual_seed(spec.variation.seed)
    target = randn_tensor((1, *shape), generator=other, **place)
    return slerp(noise, target, spec.variation.strength)


def slerp(start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    """Spherical interpolation of noise (n, C, h, w), row by row: keeps the norm that a model expects.

    Shoemake 1985, "Animating rotation with quaternion curves", doi:10.1145/325334.325242.
    """
    a, b = start.flatten(1), end.expand_as(start).flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a, b).clamp(-1, 1)
    angle = torch.acos(cosine).unsqueeze(1)
    sine = torch.sin(angle)
    curved = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / sine.clamp_min(1e-6)
    mixed = torch.where(sine > 1e-4, curved, (1 - share) * a + share * b)
    return mixed.view_as(start)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    latents: torch.Tensor
    pictures: tuple[Image.Image, ...] = ()
    kept: Kept | None = None
    beside: torch.Tensor | None = None


def _start(
    family: ModelFamily,
    spec: GenerationSpec,
    scheduler: Any,
    timesteps: torch.Tensor,
    generators: list[torch.Generator],
    pictures: Sequence[Image.Image],
) -> _Start:
    """What the steps begin with: noise, or noised latents of pictures (SDEdit, Meng et al. 2022,
    arXiv:2108.01073), and what of them is kept.
    """
    init, count = spec.init, len(generators)
    if init is None and not family.takes_mask:
        return _Start(_noise(family, spec, generators) * _first_level(scheduler))
    if spec.blend and not pictures and init is not None:
        return _blended(family, spec, scheduler, timesteps[:1], generators)
    pictures = tuple(pictures) or _given(spec)
    pixels = [_pixels(picture) for picture in pictures] * (count // len(pictures))
    soft = soft_mask(spec)
    # An inpainting pipeline begins with mere noise where nothing of the picture is to show through.
    bare = init is None or (soft is not None and init.strength == 1)
    draws = _samplers(family, pixels, spec.tile)
    clean = None if bare and family.takes_mask else _drawn(draws, generators)
    noise = _noise(family, spec, generators)
    begun = (
        noise * _first_level(scheduler)
        if bare or clean is None
        else noised(scheduler, clean, noise, timesteps[:1])
    )
    if soft is None and not family.takes_mask:
        return _Start(begun)
    put_back = () if soft is None else pictures
    mask = _latent_mask(family, spec, soft, begun)
    if family.takes_mask:
        extra = beside(family, pixels, soft, mask, generators, spec.tile)
        return _Start(begun, put_back, beside=extra)
    assert clean is not None
    # The stock pipeline draws the masked picture too, and leaves it: samplers that draw go on from there.
    _drawn(draws, generators)
    return _Start(begun, put_back, Kept(clean, noise, mask))


def _blended(
    family: ModelFamily,
    spec: GenerationSpec,
    scheduler: Any,
    timestep: torch.Tensor,
    generators: list[torch.Generator],
) -> _Start:
    """The pictures of ``spec.blend`` under one noise, as one."""
    pictures = [read_picture(data, spec.width, spec.height) for data in spec.blend]
    clean = [
        _drawn([family.encode(_pixels(picture), spec.tile)] * len(generators), generators)
        for picture in pictures
    ]
    noise = _noise(family, spec, generators)
    begun = blending.spherical_mean([noised(scheduler, each, noise, timestep) for each in clean])
    if not family.takes_mask:
        return _Start(begun)
    pixels = [_pixels(mixed(pictures))] * len(generators)
    mask = _latent_mask(family, spec, None, begun)
    return _Start(begun, beside=beside(family, pixels, None, mask, generators, spec.tile))


def _latent_mask(
    family: ModelFamily, spec: GenerationSpec, soft: Mask | None, latents: torch.Tensor
) -> torch.Tensor:
    """(1, 1, h, w): all of it where there is no mask."""
    if soft is None:
        return latents.new_ones((1, 1, *latents.shape[-2:]))
    hard = spec.init is None or spec.init.feather <= 0
    return mask_of_latents(soft, hard, latents.shape[-2], latents.shape[-1], family.device)


def _given(spec: GenerationSpec) -> tuple[Image.Image, ...]:
    """The picture of ``spec.init``; a grey one where an inpainting model has none to start from."""
    if spec.init is None:
        return (Image.new("RGB", (spec.width, spec.height), (128, 128, 128)),)
    return (read_picture(spec.init.data, spec.width, spec.height),)


def soft_mask(spec: GenerationSpec) -> Mask | None:
    """The spec's mask with its edge softened, in the size that is painted; None where it has none."""
    if spec.init is None or spec.init.mask is None:
        return None
    return softened(read_mask(spec.init.mask, spec.width, spec.height), spec.init.feather)


def _samplers(family: ModelFamily, pixels: Sequence[torch.Tensor], tile: bool) -> list[LatentSampler]:
    """One for each image; what all images share is encoded once."""
    if all(each is pixels[0] for each in pixels):
        return [family.encode(pixels[0], tile)] * len(pixels)
    return [family.encode(each, tile) for each in pixels]


def _drawn(draws: Sequence[LatentSampler], generators: Sequence[torch.Generator]) -> torch.Tensor:
    return torch.cat([draw(generator) for draw, generator in zip(draws, generators, strict=True)])


def _pixels(picture: Image.Image) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1], laid out channels last as the stock pipelines lay out theirs: on some
    processors another layout is another kernel, which rounds differently.
    """
    return torch.from_numpy(np.array(picture)[None]).movedim(-1, 1).float() / 255


def _model_input(part: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    timestep = part.timesteps[part.step]
    scaled = _as_taken(part.scheduler, part.latents, timestep)
    if part.beside is not None:
        scaled = torch.cat([scaled, part.beside], dim=1)
    return scaled.repeat(part.branches, 1, 1, 1), timestep.float().expand(part.cost)


def _first_level(scheduler: Any) -> float:
    """What unit noise is multiplied by before the first step; flow matching begins with it as it is."""
    return float(getattr(scheduler, "init_noise_sigma", 1.0))


def _as_taken(scheduler: Any, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Latents in the scale that the model knows."""
    if not hasattr(scheduler, "scale_model_input"):
        return latents
    scaled: torch.Tensor = scheduler.scale_model_input(latents, timestep)
    return scaled


def _estimate(part: Rows, prediction: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Clean latents that ``prediction`` points at, whatever the scheduler.

    Its scaled input is always ``sqrt(a) x0 + sqrt(1 - a) noise`` with the model's own a(t), interpolated in
    log(a / (1 - a)) between timesteps (Karras et al. 2022, arXiv:2206.00364, table 1); in flow matching it
    is ``(1 - s) x0 + s noise`` (Lipman et al. 2022, arXiv:2210.02747).
    """
    kind = prediction_of({"_class_name": type(part.scheduler).__name__, **part.scheduler.config})
    if kind == SAMPLE:
        return prediction
    if kind == FLOW:
        return part.latents - _sigma(part.scheduler, timestep).to(part.latents.device) * prediction
    if kind == EDM:
        sigma = _sigma(part.scheduler, timestep).to(part.latents.device)
        clean: torch.Tensor = part.scheduler.precondition_outputs(part.latents, prediction, sigma)
        return clean
    scaled = _as_taken(part.scheduler, part.latents, timestep)
    signal, noise = _levels(part.scheduler, float(timestep))
    estimate: torch.Tensor = (
        (scaled - noise * prediction) / max(signal, 1e-3)
        if kind == EPSILON
        else signal * scaled - noise * prediction
    )
    return estimate


def _sigma(scheduler: Any, timestep: torch.Tensor) -> torch.Tensor:
    """Of the step that comes."""
    known = [index for index in (scheduler.step_index, scheduler.begin_index) if index is not None]
    sigma: torch.Tensor = scheduler.sigmas[known[0] if known else scheduler.index_for_timestep(timestep)]
    return sigma


def _levels(scheduler: Any, timestep: float) -> tuple[float, float]:
    """Share of signal and of noise at ``timestep``."""
    alphas = scheduler.alphas_cumprod
    low = min(max(math.floor(timestep), 0), len(alphas) - 1)
    high = min(low + 1, len(alphas) - 1)
    share = min(max(timestep - low, 0.0), 1.0)
    logits = [math.log(max(a, 1e-8) / max(1 - a, 1e-8)) for a in (float(alphas[low]), float(alphas[high]))]
    alpha = 1 / (1 + math.exp(-(logits[0] + share * (logits[1] - logits[0]))))
    return math.sqrt(alpha), math.sqrt(1 - alpha)


def _step_options(scheduler: type, generators: list[torch.Generator]) -> dict[str, Any]:
    """What the stock pipelines hand on: their ``eta`` is 0, where TCD's own step would take 0.3."""
    offered = {"generator": generators, "eta": 0.0}
    return {name: offered[name] for name in offered.keys() & _taken(scheduler)}


@cache
def _taken(scheduler: type) -> frozenset[str]:
    """Arguments of its step."""
    return frozenset(inspect.signature(scheduler.step).parameters)  # type: ignore[attr-defined]
