"""SDXL: two text encoders, pooled text and picture sizes beside the timestep.

SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis (Podell et al. 2023,
arXiv:2307.01952), as in diffusers' StableDiffusionXLPipeline, which every result is tested against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.unet import UNetFamily
from engine.profile import Profile

POOLED, SIZES = "text_embeds", "time_ids"
"""What the UNet is told beside the text, by diffusers' names: (B, D) and (B, 6)."""


class StableDiffusionXL(UNetFamily):
    """ModelFamily of StableDiffusionXLPipeline folders."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(profile, device, dtype)
        if dtype == torch.float16 and self._vae.config.get("force_upcast"):
            self._vae.to(torch.float32)

    def _embed(self, text: str) -> Conditioning:
        """Last but one hidden states of both encoders side by side, and the pooled text of the second one's
        first chunk.
        """
        pipeline = self.pipeline
        one, _ = self._encoded(text, pipeline.tokenizer, pipeline.text_encoder)
        two, pooled = self._encoded(text, pipeline.tokenizer_2, pipeline.text_encoder_2)
        if len(one) != len(two):
            self._fill(one, two)
        hidden = torch.cat([torch.cat(one, dim=1), torch.cat(two, dim=1)], dim=-1)
        return Conditioning(hidden.to(self.dtype), extra={POOLED: pooled.to(self.dtype)})

    def _unwanted(self, spec: GenerationSpec) -> Conditioning:
        """Zeros in place of an empty text, where the folder says so: the model was trained without one."""
        away = super()._unwanted(spec)
        if spec.negative_prompt or not self.pipeline.config.force_zeros_for_empty_prompt:
            return away
        return Conditioning(torch.zeros_like(away.text), extra={POOLED: torch.zeros_like(away.extra[POOLED])})

    def _encoded(self, text: str, tokenizer: Any, encoder: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
        """(1, L, D) of each chunk, and the first output of the first one."""
        chunks = self._chunks(text, tokenizer)
        answers = [encoder(chunk.ids, output_hidden_states=True) for chunk in chunks]
        hidden = [
            chunk.weigh(answer.hidden_states[-2]) for chunk, answer in zip(chunks, answers, strict=True)
        ]
        return hidden, answers[0][0]

    def _fill(self, one: list[torch.Tensor], two: list[torch.Tensor]) -> None:
        """Tokenizers that cut a text into more chunks than the other: empty ones beside those."""
        for own, end in ((one, ""), (two, "_2")):
            parts = (getattr(self.pipeline, f"{name}{end}") for name in ("tokenizer", "text_encoder"))
            empty = self._encoded("", *parts)[0]
            own += empty * (max(len(one), len(two)) - len(own))

    def _told(self, spec: GenerationSpec, rows: int) -> Mapping[str, torch.Tensor]:
        """Sizes as the stock pipeline has them unless told: trained on, cropped at, and aimed at."""
        sizes = (spec.height, spec.width, 0, 0, spec.height, spec.width)
        told = torch.tensor([sizes] * rows, dtype=torch.float32, device=self.device)
        return {**super()._told(spec, rows), SIZES: told}

    def _added(self, cond: Conditioning) -> dict[str, torch.Tensor]:
        return {name: cond.extra[name] for name in (POOLED, SIZES)}

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        mean, spread = self._spread_of_latents(latents)
        return (latents - mean) * float(self._vae.config.scaling_factor) / spread

    def _unscaled(self, latents: torch.Tensor) -> torch.Tensor:
        mean, spread = self._spread_of_latents(latents)
        return latents * spread / float(self._vae.config.scaling_factor) + mean

    def _spread_of_latents(self, latents: torch.Tensor) -> Sequence[torch.Tensor]:
        """Mean and deviation (1, C, 1, 1) of each channel, for the VAEs that say so."""
        own = [self._vae.config.get(name) for name in ("latents_mean", "latents_std")]
        if None in own:
            own = [[0.0], [1.0]]
        return [latents.new_tensor(values).view(1, -1, 1, 1) for values in own]
