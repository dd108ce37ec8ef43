"""A job's way through the device: prepare, predict, advance, estimate, decode. No queues, no events."""

from __future__ import annotations

import inspect
import io
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image, ImageOps

from engine.api import EngineError, GenerationSpec, InitImage
from engine.conditioning import Conditioning, stack
from engine.models.base import ModelFamily, OwnCourse, OwnWay
from engine.samplers import EPSILON, SAMPLE

_Shape = tuple[int, int, int]
FLAT = 2
"""Span of values, of 255, up to which a frame counts as empty."""


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
    step: int = 0
    clean: torch.Tensor | None = field(default=None, repr=False)
    """Estimate of the finished latents by the last step that asked for it."""

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
    def done(self) -> bool:
        """No step is left."""
        return self.step >= self.end


def begin(family: ModelFamily | OwnWay, spec: GenerationSpec, seeds: Sequence[int]) -> Rows | OwnCourse:
    """What steps for some images of a job: rows that others join, or a course of their own."""
    return family.begin(spec, seeds) if isinstance(family, OwnWay) else prepare(family, spec, seeds)


@torch.inference_mode()
def prepare(family: ModelFamily, spec: GenerationSpec, seeds: Sequence[int]) -> Rows:
    """Everything the first step needs; draws from the generators in the stock pipeline's order."""
    scheduler = family.scheduler(spec)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    begin = family.skipped(spec) * scheduler.order
    timesteps = scheduler.timesteps[begin:]
    if hasattr(scheduler, "set_begin_index"):
        # Without it a scheduler searches for its first timestep, and goes wrong where two are equal.
        scheduler.set_begin_index(begin)
    latents = (
        _from_picture(family, spec, spec.init, scheduler, timesteps, generators)
        if spec.init
        else _noise(family, spec, generators) * scheduler.init_noise_sigma
    )
    return Rows(
        family=family,
        spec=spec,
        scheduler=scheduler,
        timesteps=timesteps,
        end=max(1, math.ceil(len(timesteps) * spec.stop)),
        latents=latents,
        cond=family.condition(spec).repeat(len(seeds)),
        step_options={"generator": generators} if _takes_generator(scheduler.__class__) else {},
    )


class Batcher:
    """Predictions for several :class:`Rows` in one forward pass; keeps the stacked conditioning."""

    def __init__(self) -> None:
        self._stacked: tuple[Conditioning, ...] = ()
        self._cond = Conditioning(torch.empty(0))

    @torch.inference_mode()
    def predict(self, parts: Sequence[Rows | OwnCourse], most: int) -> list[torch.Tensor]:
        """The guided prediction (n, C, h, w) of each part; at most ``most`` rows run at once.

        Those that go their own way predict as they advance.
        """
        rows = [part for part in parts if isinstance(part, Rows)]
        return self._predict(rows, most) if rows else [torch.empty(0)] * len(parts)

    def _predict(self, parts: Sequence[Rows], most: int) -> list[torch.Tensor]:
        inputs, times = zip(*(_model_input(part) for part in parts), strict=True)
        latents, timesteps = (torch.split(torch.cat(rows), most) for rows in (inputs, times))
        family, tile = parts[0].family, parts[0].spec.tile
        outputs = [
            family.denoise(*chunk, tile)
            for chunk in zip(latents, timesteps, self._conditioning(parts).split(most), strict=True)
        ]
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        predictions = torch.split(whole, [part.cost for part in parts])
        return [
            part.family.guide(part.spec, prediction.chunk(part.branches))
            for part, prediction in zip(parts, predictions, strict=True)
        ]

    def _conditioning(self, parts: Sequence[Rows]) -> Conditioning:
        wanted = tuple(part.cond for part in parts)
        same = len(wanted) == len(self._stacked) and all(map(operator.is_, wanted, self._stacked))
        if not same:
            self._cond = stack(wanted)
            self._stacked = wanted
        return self._cond


def advance(part: Rows | OwnCourse, prediction: torch.Tensor, want_clean: bool) -> None:
    """One step of the job's scheduler; with ``want_clean`` (and where a job stops early) also an estimate."""
    if isinstance(part, OwnCourse):
        part.take_turn(want_clean)
    else:
        _advance(part, prediction, want_clean)


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


@torch.inference_mode()
def decode(part: Rows | OwnCourse, most: int) -> list[Image.Image]:
    """The finished pictures, at most ``most`` decoded at once. EngineError when one is not a picture."""
    if isinstance(part, OwnCourse):
        return part.pictures()
    pixels = [part.family.decode(chunk, part.spec.tile) for chunk in torch.split(part.latents, most)]
    return checked_pictures(torch.cat(pixels))


def checked_pictures(pixels: torch.Tensor) -> list[Image.Image]:
    """RGB pictures of (n, 3, H, W) in [0, 1]; EngineError when a frame holds NaN or one colour only."""
    if not bool(torch.isfinite(pixels).all()):
        raise EngineError("The model returned no numbers for this picture; try another seed or fewer flags.")
    images = to_pictures(pixels)
    if any(_span(image) <= FLAT for image in images):
        raise EngineError("The model painted an empty frame; try another seed or another prompt.")
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
    noise: torch.Tensor = randn_tensor((len(generators), *shape), generator=generators, device=family.device)
    if spec.variation is None:
        return noise
    other = torch.Generator().manual_seed(spec.variation.seed)
    target = randn_tensor((1, *shape), generator=other, device=family.device)
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


def _from_picture(
    family: ModelFamily,
    spec: GenerationSpec,
    init: InitImage,
    scheduler: Any,
    timesteps: torch.Tensor,
    generators: list[torch.Generator],
) -> torch.Tensor:
    """Noised latents of the init picture (SDEdit, Meng et al. 2022, arXiv:2108.01073)."""
    draw = family.encode(_pixels(init, spec.width, spec.height), spec.tile)
    latents = torch.cat([draw(generator) for generator in generators])
    noise = _noise(family, spec, generators)
    noised: torch.Tensor = (
        scheduler.scale_noise(latents, timesteps[:1].repeat(len(generators)), noise)
        if hasattr(scheduler, "scale_noise")
        else scheduler.add_noise(latents, noise, timesteps[:1].repeat(len(generators)))
    )
    return noised


def _pixels(init: InitImage, width: int, height: int) -> torch.Tensor:
    """(1, 3, height, width) in [0, 1]; cropped about the centre to the shape that is painted."""
    try:
        with Image.open(io.BytesIO(init.data), formats=["PNG", "JPEG", "WEBP"]) as opened:
            picture = ImageOps.fit(opened.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
    except Exception as error:
        raise EngineError(
            "The picture to start from cannot be read; send it as PNG, JPEG or WebP."
        ) from error
    return torch.from_numpy(np.array(picture)).movedim(-1, 0).unsqueeze(0).float() / 255


def _model_input(part: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    timestep = part.timesteps[part.step]
    scaled = part.scheduler.scale_model_input(part.latents, timestep)
    return scaled.repeat(part.branches, 1, 1, 1), timestep.float().expand(part.cost)


def _estimate(part: Rows, prediction: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """Clean latents that ``prediction`` points at, whatever the scheduler: its scaled input is always
    ``sqrt(a) x0 + sqrt(1 - a) noise`` with the model's own a(t), interpolated in log(a / (1 - a)) between
    timesteps (Karras et al. 2022, arXiv:2206.00364, table 1).
    """
    scaled = part.scheduler.scale_model_input(part.latents, timestep)
    signal, noise = _levels(part.scheduler, float(timestep))
    kind = part.scheduler.config.get("prediction_type", EPSILON)
    if kind == SAMPLE:
        return prediction
    estimate: torch.Tensor = (
        (scaled - noise * prediction) / max(signal, 1e-3)
        if kind == EPSILON
        else signal * scaled - noise * prediction
    )
    return estimate


def _levels(scheduler: Any, timestep: float) -> tuple[float, float]:
    """Share of signal and of noise at ``timestep``."""
    alphas = scheduler.alphas_cumprod
    low = min(max(math.floor(timestep), 0), len(alphas) - 1)
    high = min(low + 1, len(alphas) - 1)
    share = min(max(timestep - low, 0.0), 1.0)
    logits = [math.log(max(a, 1e-8) / max(1 - a, 1e-8)) for a in (float(alphas[low]), float(alphas[high]))]
    alpha = 1 / (1 + math.exp(-(logits[0] + share * (logits[1] - logits[0]))))
    return math.sqrt(alpha), math.sqrt(1 - alpha)


@cache
def _takes_generator(scheduler: type) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters  # type: ignore[attr-defined]
