"""What families share that denoise in the latent space of an autoencoder: loading, texts kept, pixels."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch

from engine import samplers, schedulers
from engine.api import GenerationSpec
from engine.conditioning import Conditioning, stack
from engine.models.adapters import Adapters, Worn
from engine.models.base import LatentSampler
from engine.models.loading import load_pipeline
from engine.models.preview import fit_rgb, to_rgb
from engine.models.references import Borrower, References
from engine.models.tiling import circular, padded
from engine.profile import Profile, factor_of
from engine.prompting import Fragment, compositions

log = logging.getLogger(__name__)
TEXTS_KEPT, SCHEDULERS_KEPT = 256, 64
TEXT_BYTES = 2**28
"""On the device, for texts that are kept."""


class LatentFamily(Borrower, ABC):
    """ModelFamily on the parts of a stock pipeline. float32 gives that pipeline's pictures to 1e-5."""

    _borrows: type[References] | None = None
    """How reference pictures reach the denoiser, where there are adapters for it."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        self.profile = profile
        self.device = device
        self.dtype = dtype
        self.pipeline = load_pipeline(profile, dtype)
        """The stock pipeline that the parts came in; never called, but it knows how to load LoRAs."""
        for part in self.pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.to(device).eval()
        self._denoiser = getattr(self.pipeline, profile.family.denoiser)
        self._vae = self.pipeline.vae
        self._factor = factor_of(self._vae.config)
        self._denoiser_layers, self._vae_layers = padded(self._denoiser), padded(self._vae)
        self._texts: OrderedDict[tuple[str, Worn], Conditioning] = OrderedDict()
        self._schedulers: dict[Hashable, Any] = {}
        self._adapters = Adapters(self.pipeline, profile.loras)
        if self._borrows and profile.adapter:
            self._references = self._borrows(self._denoiser, profile.adapter, device, dtype)
        self._rgb = fit_rgb(self, self._channels, profile.latent_rgb)

    @property
    def _channels(self) -> int:
        """Of the latents."""
        taken = int(self._denoiser.config.in_channels)
        return (taken - 1) // 2 if self.takes_mask else taken

    @property
    def takes_mask(self) -> bool:
        """An inpainting model: its denoiser takes mask and masked picture beside the latents."""
        own = getattr(self._vae.config, "latent_channels", None)
        return own is not None and self._denoiser.config.in_channels == 2 * own + 1

    def latent_shape(self, spec: GenerationSpec) -> tuple[int, int, int]:
        """(C, height / f, width / f), f as the VAE has it."""
        return (self._channels, spec.height // self._factor, spec.width // self._factor)

    @torch.inference_mode()
    def embed(self, text: str) -> Conditioning:
        """One row for a text alone, kept, so that a repeated text costs nothing."""
        key = (text, self._adapters.worn)
        if key not in self._texts:
            self._texts[key] = self._embed(text)
        self._texts.move_to_end(key)
        while len(self._texts) > 1 and self._texts_are_many():
            self._texts.popitem(last=False)
        return self._texts[key]

    def forget(self) -> None:
        """Texts and reference pictures; they are encoded again when they are wanted."""
        super().forget()
        self._texts.clear()

    def _texts_are_many(self) -> bool:
        """The long texts of large encoders take megabytes each."""
        return len(self._texts) > TEXTS_KEPT or sum(text.nbytes for text in self._texts.values()) > TEXT_BYTES

    def wear(self, loras: Worn) -> None:
        """Put exactly these LoRAs on for the next texts and steps; EngineError for a broken one."""
        changed = True
        try:
            changed = self._adapters.wear(loras)
        finally:
            if changed:
                self._denoiser_layers = padded(self._denoiser)

    @abstractmethod
    def _embed(self, text: str) -> Conditioning:
        """One row for a text, as the stock pipeline encodes it."""

    def condition(self, spec: GenerationSpec) -> Conditioning:
        """The negative prompt, where ``spec`` is guided, then the prompt, or what it is composed of."""
        away = [self._unwanted(spec)] if self.guided(spec) else []
        rows = stack([*away, *(self.embed(part.text) for part in self._parts(spec))])
        lent = self._lent(spec, rows.rows, self.guided(spec))
        return rows.beside({**self._told(spec, rows.rows), **lent})

    def _unwanted(self, spec: GenerationSpec) -> Conditioning:
        """One row of what guidance leads away from."""
        return self.embed(spec.negative_prompt)

    def _told(self, spec: GenerationSpec, rows: int) -> Mapping[str, torch.Tensor]:
        """(rows, ...) of what the denoiser is told beside texts: sizes, embedded guidance ..."""
        return {}

    def _parts(self, spec: GenerationSpec) -> tuple[Fragment, ...]:
        weighs = self.profile.info.prompt_weights
        return compositions(spec.prompt) if weighs else (Fragment(spec.prompt, 1.0),)

    def scale(self, spec: GenerationSpec) -> float:
        """How far beyond the positive branch the guidance goes: 1 is not at all."""
        return spec.guidance_scale

    def guided(self, spec: GenerationSpec) -> bool:
        """Whether ``spec`` needs the negative branch."""
        return self.scale(spec) > 1

    def guide(self, spec: GenerationSpec, branches: Sequence[torch.Tensor]) -> torch.Tensor:
        """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598), towards each part of a composed
        prompt by its weight (Liu et al. 2022, arXiv:2206.01714). Without guidance, their weighted mean.
        """
        if self.guided(spec):
            return self._pulled(spec, branches, self.scale(spec))
        if len(branches) == 1:
            return branches[0]
        weights = [part.weight for part in self._parts(spec)]
        return _sum(branches, weights) / (sum(weights) or 1.0)

    def _pulled(self, spec: GenerationSpec, branches: Sequence[torch.Tensor], scale: float) -> torch.Tensor:
        negative, *positives = branches
        pulls = [positive - negative for positive in positives]
        return negative + scale * _sum(pulls, [part.weight for part in self._parts(spec)])

    def scheduler(self, spec: GenerationSpec) -> Any:
        """A copy of one that is kept, which costs a tenth of building it; nothing is shared between jobs."""
        init = spec.init and (spec.init.strength, spec.init.mask is None)
        key = (samplers.sampler_name(spec.sampler), spec.steps, spec.width, spec.height, init)
        if key not in self._schedulers:
            if len(self._schedulers) >= SCHEDULERS_KEPT:
                self._schedulers.clear()
            self._schedulers[key] = self._scheduler(spec)
        return copy.deepcopy(self._schedulers[key])

    def _scheduler(self, spec: GenerationSpec) -> Any:
        """Built from the folder's scheduler configuration, its timesteps set."""
        scheduler = schedulers.build(spec.sampler, self.profile.scheduler)
        own = scheduler.config.get("original_inference_steps") or spec.steps
        # A consistency model's schedule has the steps that it was distilled with; a longer one is made anew.
        options = {"original_inference_steps": spec.steps} if spec.steps > own else {}
        scheduler.set_timesteps(spec.steps, device=self.device, **options)
        return scheduler

    def skipped(self, spec: GenerationSpec) -> int:
        """As StableDiffusionImg2ImgPipeline rounds: the steps that are done are rounded down."""
        if spec.init is None:
            return 0
        return spec.steps - max(1, min(int(spec.steps * spec.init.strength), spec.steps))

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor, tile: bool) -> LatentSampler:
        """The picture is encoded once, each image draws its own sample of the distribution."""
        with circular(self._vae_layers, tile):
            encoded = self._vae.encode((pixels * 2 - 1).to(self.device, self._vae.dtype))
        if hasattr(encoded, "latents"):
            return lambda _: self._scaled(encoded.latents.float())
        return lambda generator: self._scaled(encoded.latent_dist.sample(generator).float())

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        """One pass of the VAE's decoder; where it leaves the range of its numbers, once more in float32, and
        from then on in that.
        """
        pixels = self._decoded(latents, tile)
        narrow = self._vae.dtype != torch.float32
        if narrow and bool(latents.isfinite().all()) and not bool(pixels.isfinite().all()):
            log.warning(
                "%s: the VAE overflows in %s and goes on in float32", self.profile.info.name, self.dtype
            )
            self._vae.to(torch.float32)
            pixels = self._decoded(latents, tile)
        return (pixels.float() / 2 + 0.5).clamp(0, 1)

    def _decoded(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        with circular(self._vae_layers, tile):
            pixels: torch.Tensor = self._vae.decode(
                self._unscaled(latents).to(self._vae.dtype), return_dict=False
            )[0]
        return pixels

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """The VAE's own latents in the range that the denoiser knows."""
        shift = float(getattr(self._vae.config, "shift_factor", None) or 0.0)
        return (latents - shift) * float(self._vae.config.scaling_factor)

    def _unscaled(self, latents: torch.Tensor) -> torch.Tensor:
        shift = float(getattr(self._vae.config, "shift_factor", None) or 0.0)
        return latents / float(self._vae.config.scaling_factor) + shift

    @abstractmethod
    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the denoiser, every row at its own timestep."""

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """Linear map fitted to this VAE."""
        return to_rgb(latents, self._rgb)


def _sum(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    products = [weight * tensor for tensor, weight in zip(tensors, weights, strict=True)]
    return reduce(torch.add, products)
