"""Any pipeline of diffusers through its own ``__call__``, one denoising step at a time.

The pipeline runs in a greenlet that hands the turn back whenever its scheduler has made a step. So the loop
stays the one that decides: other jobs step in between, a job that is dropped unwinds at its next turn, and
torch is never touched by two at once. The images of a job are painted one after another, each with a
generator of its own, so that image i is what the stock pipeline makes of seed i.
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL, ModelMixin, SchedulerMixin
from greenlet import getcurrent, greenlet
from PIL import Image

from engine import samplers, schedulers, stages
from engine.api import GenerationSpec
from engine.blending import from_mean
from engine.masks import read_picture
from engine.memory import free, is_out_of_memory
from engine.models.adapters import Adapters, Worn
from engine.models.base import OwnCourse, OwnWay
from engine.models.family import Family
from engine.models.loading import load_pipeline
from engine.models.preview import fit_rgb, to_rgb
from engine.models.references import Borrower
from engine.models.unet_references import UNetReferences
from engine.models.unlisted import changes_its_parts, guidance_name, parameters
from engine.profile import Profile, pixels_per_latent
from engine.samplers import DEFAULT

log = logging.getLogger(__name__)
_STEPPING = ("step", "batch_step_no_noise")
"""Of schedulers, what makes a step, or several at once (ParaDiGMS, Shih et al. 2023, arXiv:2305.16317)."""
_STEPS = ("num_inference_steps", "decoder_num_inference_steps")
_ALWAYS_GUIDED = frozenset({"HunyuanDiTPAGPipeline"})
"""In diffusers 0.42.1 fail unguided: they count rows for a negative prompt that is not there. At a scale next
to 1 those rows come to nothing.
"""
_AS_ASKED = {"use_resolution_binning": False, "clean_caption": False}
"""The size and the text that were asked for, not what a pipeline finds nearer to its training."""


class StockPipeline(Borrower, OwnWay):
    """A pipeline of ``profile.family.pipelines[0]``, and its siblings that start from a picture."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        self.profile = profile
        self.device = device
        self.dtype = dtype
        self.pipeline = load_pipeline(profile, dtype)
        for part in self.pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.to(device).eval()
        self._adapters = Adapters(self.pipeline, profile.loras)
        self._vae = _autoencoder(self.pipeline)
        if profile.adapter:
            self._references = UNetReferences(self.pipeline.unet, profile.adapter, device, dtype)
        self._rgb = self._fitted()

    def begin(self, spec: GenerationSpec, seeds: Sequence[int]) -> StockCourse:
        """One image after another, by the pipeline itself."""
        looks = self._references or self.profile.family.looks
        return StockCourse(self, spec if looks else from_mean(spec), tuple(seeds))

    def bound(self, spec: GenerationSpec) -> Any:
        """A pipeline of the job's own on the shared parts, with schedulers of its own."""
        kind = _kind(self.profile.family, spec)
        parts = {**self.pipeline.config, **self.pipeline.components}
        own = {name: parts[name] for name in inspect.signature(kind.__init__).parameters if name in parts}
        for name, part in own.items():
            if isinstance(part, SchedulerMixin):
                own[name] = copy.deepcopy(part)
            elif isinstance(part, ModelMixin) and changes_its_parts(kind):
                own[name] = _another(part)
        if samplers.sampler_name(spec.sampler) != DEFAULT:
            own["scheduler"] = _scheduler(spec.sampler, self.profile.scheduler)
        pipeline = _placed(kind, self.device)(**own)
        pipeline.set_progress_bar_config(disable=True)
        if (decoder := getattr(pipeline, "decoder_pipe", None)) and hasattr(decoder, "image_processor"):
            # Kandinsky's take the width for the height, and what they are given has its size already.
            decoder.image_processor.register_to_config(do_resize=False)
        return pipeline

    def wear(self, loras: Worn) -> None:
        """Put exactly these LoRAs on for the next turn; EngineError for a broken one."""
        self._adapters.wear(loras)

    def lent(self, spec: GenerationSpec) -> dict[str, Any]:
        """What the pipeline's call is told of reference pictures: of what is not wanted too, where the
        pipeline is guided.
        """
        guided = spec.guidance_scale > 1
        told = self._attended(self._lent(spec, 1 + guided, guided))
        return {"cross_attention_kwargs": told} if told else {}

    def preview(self, pixels: torch.Tensor) -> torch.Tensor:
        """A course's estimates are pixels already."""
        return pixels

    def rough(self, latents: torch.Tensor, spec: GenerationSpec) -> torch.Tensor | None:
        """(1, 3, h, w) in [0, 1] of clean latents, or None where they are no colours (tokens, embeddings)."""
        if latents.ndim == 3:
            latents = self._unpacked(latents, spec)
        if latents.ndim != 4 or not latents.is_floating_point():
            return None
        if self._vae is None and latents.shape[1] == 3:
            return (latents.float() / 2 + 0.5).clamp(0, 1)
        if self._rgb is None or latents.shape[1] != len(self._rgb) - 1:
            return None
        return to_rgb(latents.float(), self._rgb)

    def _unpacked(self, latents: torch.Tensor, spec: GenerationSpec) -> torch.Tensor:
        """(B, h w, 4 C), two by two latents to a row as FLUX has them, as (B, C, 2 h, 2 w)."""
        raster = 2 * pixels_per_latent(self.profile.source.path)
        height, width = spec.height // raster, spec.width // raster
        if latents.shape[1] != height * width or latents.shape[2] % 4:
            return latents
        rows = latents.view(-1, height, width, latents.shape[2] // 4, 2, 2)
        return rows.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)

    def decode(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        """Pixels (B, 3, H, W) in [0, 1] of clean latents; to fit the preview only."""
        assert self._vae is not None
        config = self._vae.config
        latents = latents / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
        pixels: torch.Tensor = self._vae.decode(latents.to(self.dtype), return_dict=False)[0]
        return (pixels.float() / 2 + 0.5).clamp(0, 1)

    @contextmanager
    def sparing(self, on: bool) -> Iterator[None]:
        """Within the block, and only with ``on``, pictures are decoded in tiles, which takes less and differs
        at their seams: so the pictures of others do not change.
        """
        if not on:
            yield
            return
        try:
            self._switch("enable")
            yield
        finally:
            self._switch("disable")

    def _switch(self, verb: str) -> None:
        for part in self.pipeline.components.values():
            for way in ("tiling", "slicing"):
                if isinstance(part, torch.nn.Module) and hasattr(part, f"{verb}_{way}"):
                    getattr(part, f"{verb}_{way}")()

    @torch.inference_mode()
    def _fitted(self) -> torch.Tensor | None:
        """The map from latents to colours, where the autoencoder is one of the usual kind."""
        config = getattr(self._vae, "config", {})
        if "latent_channels" not in config or "scaling_factor" not in config:
            return None
        try:
            return fit_rgb(self, config["latent_channels"], self.profile.latent_rgb)
        except Exception as error:
            log.info("no previews for %s: %s", self.profile.info.name, error)
            return None


@dataclass(slots=True)
class _Wish:
    """Said to the pipeline before its turn: whether an estimate is to come back with the turn."""

    estimate: bool = False


class StockCourse(OwnCourse):
    """Images of one job, one after another through the stock pipeline; a turn is a step, or the decoding."""

    cost = 1

    def __init__(self, family: StockPipeline, spec: GenerationSpec, seeds: tuple[int, ...]) -> None:
        self.family = family
        self.spec = spec
        self.step = 0
        self.clean: torch.Tensor | None = None
        self._seeds = seeds
        self._pixels: list[torch.Tensor] = []
        self._turn: greenlet | None = None
        self._wish = _Wish()
        self._turns = _expected_turns(family, spec)
        self._taken = 0
        self._spared = False

    @property
    def count(self) -> int:
        """Images."""
        return len(self._seeds)

    @property
    def end(self) -> int:
        """Turns that all images take together; known exactly once the first is done."""
        return self.step if self.done else max(self._turns * self.count, self.step + 1)

    @property
    def done(self) -> bool:
        """No turn is left."""
        return len(self._pixels) == self.count

    def take_turn(self, want_clean: bool) -> None:
        """Go on to the next step of the image at work. Out of memory, it is begun again with less, once."""
        self._wish.estimate = want_clean
        try:
            self._resume()
        except Exception as error:
            self._turn = None
            if self._spared or not is_out_of_memory(error):
                raise
            log.warning("out of memory in a stock pipeline; the image is begun again in tiles")
            self._spared = True
            self.step -= self._taken
            self._taken = 0
            free(self.family.device)

    def pictures(self) -> list[Image.Image]:
        """The finished pictures, what a mask keeps as it was given; EngineError when one is not a picture."""
        images = stages.checked_pictures(torch.cat(self._pixels))
        if self.spec.init is None or self.spec.init.mask is None:
            return images
        width, height = images[0].size  # IF repaints in a size of its own
        kept = read_picture(self.spec.init.data, width, height)
        return stages.put_back(replace(self.spec, width=width, height=height), images, (kept,))

    def close(self) -> None:
        """Unwind the pipeline where it stands; its tensors are free then."""
        if self._turn is not None and not self._turn.dead:
            with torch.no_grad():  # what is unwound leaves it as it found it, when the turn began
                self._turn.throw()
        self._turn = None

    def _resume(self) -> None:
        if self._turn is None:
            seed = self._seeds[len(self._pixels)]
            self._turn = greenlet(functools.partial(_paint, self.family, self.spec, seed, self._wish))
        self.family.wear(self.spec.loras)
        # A pipeline leaves its own way of not keeping gradients at the end of its call.
        with torch.no_grad(), self.family.sparing(self._spared):
            said = self._turn.switch()
        self.step += 1
        self._taken += 1
        if self._turn.dead:
            self._turns, self._taken, self._turn = self._taken, 0, None
            self._pixels.append(said)
        elif said is not None:
            self.clean = self._shown(said)

    def _shown(self, rough: torch.Tensor) -> torch.Tensor:
        """The finished images and the one at work, in the size of its estimate; what waits is grey."""
        size = rough.shape[-2:]
        done = [torch.nn.functional.interpolate(image, size=size, mode="area") for image in self._pixels]
        waiting = torch.full((self.count - len(done) - 1, 3, *size), 0.5)
        return torch.cat([*done, rough.cpu(), waiting])


def _paint(family: StockPipeline, spec: GenerationSpec, seed: int, wish: _Wish) -> torch.Tensor:
    """Pixels (1, 3, H, W) in [0, 1] of one image. Runs in a greenlet and hands its turn back at each step."""
    pipeline = family.bound(spec)
    for part in pipeline.components.values():
        if isinstance(part, SchedulerMixin):
            for name in _STEPPING:
                if hasattr(part, name):
                    shown = functools.partial(_estimate, family, spec, part)
                    setattr(part, name, _handing_over(getattr(part, name), shown, wish))
    arguments = {**_arguments(pipeline, spec, family.profile.true_cfg_scale), **family.lent(spec)}
    arguments["generator"] = torch.Generator().manual_seed(seed)
    frames = pipeline(**arguments, output_type="np")[0]
    return torch.from_numpy(np.asarray(frames, dtype=np.float32)).movedim(-1, 1)


def _handing_over(
    step: Callable[..., Any], shown: Callable[..., torch.Tensor | None], wish: _Wish
) -> Callable[..., Any]:
    """A scheduler's step that gives the turn back when it is done, with an estimate where one is due."""

    known = inspect.signature(step).parameters

    @functools.wraps(step)  # pipelines read its signature
    def handing_over(*given: Any, generator: Any = None, **options: Any) -> Any:
        if "generator" in known:  # some pipelines give theirs to a scheduler of any kind
            options["generator"] = generator
        rough = shown(*given[:3]) if wish.estimate and len(given) > 2 else None
        result = step(*given, **options)
        getcurrent().parent.switch(rough)
        # Of a single step PixArt-α takes the clean picture, which few samplers add: that step ends there.
        return 2 * result if isinstance(result, tuple) and len(result) == 1 else result

    return handing_over


def _estimate(
    family: StockPipeline, spec: GenerationSpec, scheduler: Any, output: Any, timestep: Any, sample: Any
) -> torch.Tensor | None:
    """Rough pixels that the model's answer points at; None where they cannot be shown."""
    try:
        state: Any = SimpleNamespace(scheduler=copy.copy(scheduler), latents=sample)
        return family.rough(stages._estimate(state, output, timestep), spec)
    except Exception as error:
        log.debug("no preview: %s", error)
        return None


def _arguments(pipeline: Any, spec: GenerationSpec, true_cfg_scale: float) -> dict[str, Any]:
    """What of the spec this pipeline's call takes, by diffusers' names; the rest stays its default."""
    given: dict[str, Any] = {"prompt": spec.prompt, "width": spec.width, "height": spec.height, **_AS_ASKED}
    given["max_area"] = spec.width * spec.height
    given.update(dict.fromkeys(_STEPS, spec.steps))
    known = parameters(pipeline.__class__)
    if spec.negative_prompt:
        given["negative_prompt"] = spec.negative_prompt
        given["true_cfg_scale"] = true_cfg_scale
    least = math.nextafter(1.0, 2.0) if pipeline.__class__.__name__ in _ALWAYS_GUIDED else 0.0
    given[guidance_name(known) or ""] = max(spec.guidance_scale, least)
    if spec.blend:
        given["image"] = [read_picture(data, spec.width, spec.height) for data in spec.blend]
    elif spec.init is None and "mask_image" in known:
        given |= {"image": Image.new("RGB", (spec.width, spec.height)), "mask_image": _marked(spec)}
    if spec.init is not None:
        given["image"] = read_picture(spec.init.data, spec.width, spec.height)
        given["mask_image"] = _marked(spec)
        # Where not one step is left, some pipelines fail, and others show what was never painted.
        given["strength"] = max(spec.init.strength, min(1.0, 1.001 / spec.steps))
    if spec.steps != 2:
        given["intermediate_timesteps"] = None  # Sana Sprint's, for two steps only
    return {name: value for name, value in given.items() if name in known}


def _marked(spec: GenerationSpec) -> Image.Image:
    """White where the pipeline may paint: wherever the soft edge reaches; everywhere without a mask."""
    soft = stages.soft_mask(spec)
    if soft is None:
        return Image.new("L", (spec.width, spec.height), 255)
    return Image.fromarray(np.where(soft > 0, 255, 0).astype(np.uint8))


def _scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """A sampler by its name. Where it reads no learned variance, the pipeline is to leave that away."""
    scheduler = schedulers.build(name, config)
    if "variance_type" not in inspect.signature(type(scheduler)).parameters:
        scheduler.register_to_config(variance_type="fixed_small")
    return scheduler


def _kind(family: Family, spec: GenerationSpec) -> Any:
    """The pipeline's class for text alone, from a picture, or for a part of one."""
    if spec.init is None:
        return getattr(diffusers, family.pipelines[0])
    masked = spec.init.mask is not None or not family.from_picture
    return getattr(diffusers, family.inpainter if masked else family.from_picture)


def _autoencoder(pipeline: Any) -> Any:
    """The one whose latents a preview can be made of; the oldest pipelines have it in VQGAN's place."""
    other = getattr(pipeline, "vqvae", None)
    return getattr(pipeline, "vae", other if isinstance(other, AutoencoderKL) else None)


def _another(network: torch.nn.Module) -> Any:
    """The same weights and hooks in layers of its own, which may be given other processors."""
    layers = list(network.modules())
    shared: list[Any] = [*network.parameters(), *network.buffers()]
    for layer in layers:
        shared += [*layer._forward_hooks.values(), *layer._forward_pre_hooks.values()]
    return copy.deepcopy(network, {id(each): each for each in shared})


def _placed(kind: type, device: torch.device) -> Any:
    """``kind``, which computes on ``device`` even while its parts wait elsewhere for their turn."""
    place = property(lambda _: device)
    members = {"__module__": kind.__module__, "device": place, "_execution_device": place}
    return type(kind.__name__, (kind,), members)


def _expected_turns(family: StockPipeline, spec: GenerationSpec) -> int:
    """Steps of every scheduler of the pipeline, and the decoding; a guess until one image is done."""
    known = parameters(_kind(family.profile.family, spec))
    counts = {name: item.default for name, item in known.items() if name.endswith("num_inference_steps")}
    share = spec.init.strength if spec.init and "strength" in known else 1.0
    counts.update({name: round(spec.steps * share) for name in _STEPS if name in counts})
    return max(1, int(sum(counts.values()))) + 1
