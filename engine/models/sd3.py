"""Stable Diffusion 3 and 3.5: two CLIP encoders and T5, any of which may be missing, and a joint transformer.

Scaling Rectified Flow Transformers for High-Resolution Image Synthesis (Esser et al. 2024, arXiv:2403.03206),
as in diffusers' StableDiffusion3Pipeline, which every result is tested against.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import pad

from engine.conditioning import Conditioning
from engine.models.flow import FlowFamily
from engine.models.sd3_references import SD3References

CLIP_LENGTH = 77
T5_LENGTH = 256


class StableDiffusion3(FlowFamily):
    """ModelFamily of StableDiffusion3Pipeline folders."""

    _borrows = SD3References

    def _embed(self, text: str) -> Conditioning:
        """Both CLIP encoders side by side, then T5; zeros where one is missing."""
        clips, pooled = zip(*(self._clip(text, number) for number in (0, 1)), strict=True)
        wide = self._t5(text)
        narrow = torch.cat(clips, dim=-1)
        narrow = pad(narrow, (0, wide.shape[-1] - narrow.shape[-1]))
        hidden = torch.cat([narrow, wide], dim=1).to(self.dtype)
        return Conditioning(hidden, extra={"pooled": torch.cat(pooled, dim=-1).to(self.dtype)})

    def _clip(self, text: str, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, L, D) of the last layer but one, and the pooled (1, P)."""
        encoder, tokenizer = _clips(self.pipeline)[number]
        if encoder is None:
            width = self._missing(number)
            return self._zeros(self.pipeline.tokenizer_max_length, width), self._zeros(width)
        ids = _ids(tokenizer, text, self.pipeline.tokenizer_max_length).to(self.device)
        output = encoder(ids, output_hidden_states=True)
        return output.hidden_states[-2], output[0]

    def _missing(self, number: int) -> int:
        """Width of a missing CLIP encoder: what the other leaves of the pooled text."""
        whole = int(self._denoiser.config.pooled_projection_dim)
        other, _ = _clips(self.pipeline)[1 - number]
        if other is None:
            return whole if number == 0 else 0
        return whole - int(other.config.projection_dim)

    def _t5(self, text: str) -> torch.Tensor:
        encoder = self.pipeline.text_encoder_3
        if encoder is None:
            return self._zeros(T5_LENGTH, int(self._denoiser.config.joint_attention_dim))
        hidden: torch.Tensor = encoder(_ids(self.pipeline.tokenizer_3, text, T5_LENGTH).to(self.device))[0]
        return hidden

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros((1, *shape), device=self.device, dtype=self.dtype)

    def _spaced(self, steps: int) -> dict[str, Any]:
        return {"num_inference_steps": steps}

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the transformer, every row at its own timestep."""
        prediction: torch.Tensor = self._denoiser(
            hidden_states=latents.to(self.dtype),
            timestep=timesteps,
            encoder_hidden_states=cond.text,
            pooled_projections=cond.extra["pooled"],
            joint_attention_kwargs=self._attended(cond.extra),
            return_dict=False,
        )[0]
        return prediction.float()


def _clips(pipeline: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (
        (pipeline.text_encoder, pipeline.tokenizer),
        (pipeline.text_encoder_2, pipeline.tokenizer_2),
    )


def _ids(tokenizer: Any, text: str, length: int) -> torch.Tensor:
    """(1, length); what is too long is cut."""
    ids: torch.Tensor = tokenizer(
        text, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return ids
