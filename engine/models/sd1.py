"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, and a VAE of any kind and factor.

High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al. 2022), as in diffusers'
StableDiffusionPipeline, which every result is tested against; and its latent consistency models (Luo et al.
2023, arXiv:2310.04378).
"""

from __future__ import annotations

from typing import Any

import torch

from engine import samplers, schedulers
from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.unet import UNetFamily

CONSISTENT = "LatentConsistencyModelPipeline"


class StableDiffusion1(UNetFamily):
    """ModelFamily of StableDiffusionPipeline and LatentConsistencyModelPipeline folders."""

    def _embed(self, text: str) -> Conditioning:
        """Last hidden states of the text encoder, chunk after chunk."""
        encoder = self.pipeline.text_encoder
        masked = getattr(encoder.config, "use_attention_mask", False)
        hidden = [
            chunk.weigh(encoder(chunk.ids, attention_mask=chunk.mask if masked else None)[0])
            for chunk in self._chunks(text, self.pipeline.tokenizer)
        ]
        return Conditioning(torch.cat(hidden, dim=1).to(self.dtype))

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the UNet; one a length where it pools the text."""
        if cond.mask is not None and self._denoiser.config.addition_embed_type == "text":
            return self._by_length(latents, timesteps, cond, tile)
        return super().denoise(latents, timesteps, cond, tile)

    def _by_length(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """The pooling knows no mask: what fills up a shorter text would count."""
        assert cond.mask is not None
        lengths = cond.mask.sum(1).tolist()
        prediction = torch.empty_like(latents)
        for length in sorted(set(lengths)):
            rows = [row for row, own in enumerate(lengths) if own == length]
            text = Conditioning(cond.text[rows, :length], extra=cond[rows].extra)
            prediction[rows] = self.denoise(latents[rows], timesteps[rows], text, tile)
        return prediction

    def _scheduler(self, spec: GenerationSpec) -> Any:
        """As the folder's pipeline sets its steps."""
        if not self._takes_all_steps(spec):
            return super()._scheduler(spec)
        assert spec.init is not None
        scheduler = schedulers.build(spec.sampler, self.profile.scheduler)
        strength = max(spec.init.strength, 1 / scheduler.config.original_inference_steps)
        most = int(scheduler.config.original_inference_steps * strength)
        scheduler.set_timesteps(min(spec.steps, most), device=self.device, strength=strength)
        return scheduler

    def skipped(self, spec: GenerationSpec) -> int:
        """None where a picture's strength only moves the first step."""
        return 0 if self._takes_all_steps(spec) else super().skipped(spec)

    def _takes_all_steps(self, spec: GenerationSpec) -> bool:
        """LatentConsistencyModelImg2ImgPipeline spreads the steps over what is left of the schedule."""
        own = (
            self.profile.pipeline.startswith("LatentConsistency")
            and samplers.sampler_name(spec.sampler) == "lcm"
        )
        return own and spec.init is not None and spec.init.mask is None
