"""FLUX.1: CLIP's pooled text, T5, and a transformer that takes the guidance as one more input, or none.

Black Forest Labs 2024, as in diffusers' FluxPipeline, which every result is tested against. A negative prompt
is guided away from in a pass of its own (true classifier-free guidance), on top of the embedded guidance.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.flow import FlowFamily, pack, unpack
from engine.models.flux_references import FluxReferences


class Flux(FlowFamily):
    """ModelFamily of FluxPipeline folders, dev (guidance embedded) and schnell."""

    _borrows = FluxReferences

    @property
    def _channels(self) -> int:
        """Of the latents, four of which the transformer takes as one."""
        return int(self._denoiser.config.in_channels) // 4

    @property
    def _embeds_guidance(self) -> bool:
        return bool(self._denoiser.config.guidance_embeds)

    def _embed(self, text: str) -> Conditioning:
        """T5's hidden states, of one length for all texts."""
        hidden, pooled, _ = self.pipeline.encode_prompt(text, device=self.device)
        return Conditioning(hidden.to(self.dtype), extra={"pooled": pooled.to(self.dtype)})

    def _told(self, spec: GenerationSpec, rows: int) -> Mapping[str, torch.Tensor]:
        """The spec's guidance in every branch, where the model embeds it."""
        if not self._embeds_guidance:
            return {}
        scale = torch.full((rows,), spec.guidance_scale, dtype=torch.float32, device=self.device)
        return {"guidance": scale}

    def scale(self, spec: GenerationSpec) -> float:
        """Of a negative prompt: ``guidance_scale`` where the model does not embed that, else the folder's."""
        if not spec.negative_prompt:
            return 1.0
        if self._embeds_guidance or spec.guidance_scale <= 1:
            return self.profile.true_cfg_scale
        return spec.guidance_scale

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the transformer, every row at its own timestep and guidance. Rows are of one size and
        length: positions are the same for all of them.
        """
        height, width = latents.shape[-2:]
        prediction: torch.Tensor = self._denoiser(
            hidden_states=pack(latents).to(self.dtype),
            timestep=timesteps / 1000,
            guidance=cond.extra.get("guidance"),
            pooled_projections=cond.extra["pooled"],
            encoder_hidden_states=cond.text,
            txt_ids=latents.new_zeros((cond.text.shape[1], 3)),
            img_ids=_places(height // 2, width // 2, latents.device),
            joint_attention_kwargs=self._attended(cond.extra),
            return_dict=False,
        )[0]
        return unpack(prediction, height, width).float()


def _places(height: int, width: int, device: torch.device) -> torch.Tensor:
    """(height * width, 3): row and column of each patch, after a zero."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).view(-1, 3)
    return places.float().to(device)
