"""Z-Image: Qwen3 as text encoder, and one stream of picture and text, each row of its own length.

Z-Image: An Efficient Image Generation Foundation Model (Alibaba 2025, arXiv:2511.22699), as in diffusers'
ZImagePipeline, which every result is tested against.
"""

from __future__ import annotations

import torch

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.flow import FlowFamily


class ZImage(FlowFamily):
    """ModelFamily of ZImagePipeline folders."""

    def _embed(self, text: str) -> Conditioning:
        """Hidden states of the last layer but one, of the text's own length."""
        (hidden,), _ = self.pipeline.encode_prompt(text, self.device, do_classifier_free_guidance=False)
        return Conditioning(hidden[None].to(self.dtype))

    def scale(self, spec: GenerationSpec) -> float:
        """This family counts its guidance from the positive branch on: 0 is none."""
        return 1.0 + spec.guidance_scale

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the transformer, every row at its own timestep; its time runs the other way."""
        texts = list(cond.text)
        if cond.mask is not None:
            texts = [text[mask] for text, mask in zip(texts, cond.mask, strict=True)]
        predictions = self._denoiser(
            list(latents.to(self.dtype).unsqueeze(2)),
            (1000 - timesteps) / 1000,
            texts,
            return_dict=False,
        )[0]
        return -torch.stack([prediction.float() for prediction in predictions]).squeeze(2)
