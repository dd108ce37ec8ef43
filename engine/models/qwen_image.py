"""Qwen-Image: Qwen2.5-VL as text encoder, a joint transformer, and an autoencoder made for moving pictures.

Qwen-Image Technical Report (Wu et al. 2025, arXiv:2508.02324), as in diffusers' QwenImagePipeline, which
every result is tested against.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.base import LatentSampler
from engine.models.flow import FlowFamily, pack, unpack

LENGTH = 512
"""Tokens of a text; what is longer is cut, as a call of the stock pipeline does."""


class QwenImage(FlowFamily):
    """ModelFamily of QwenImagePipeline folders."""

    @property
    def _channels(self) -> int:
        """Of the latents, four of which the transformer takes as one."""
        return int(self._denoiser.config.in_channels) // 4

    def _embed(self, text: str) -> Conditioning:
        """Hidden states of the last layer, of the text's own length."""
        hidden, mask = self.pipeline.encode_prompt(text, self.device, max_sequence_length=LENGTH)
        return Conditioning(hidden.to(self.dtype), None if mask is None else mask.bool())

    def guide(self, spec: GenerationSpec, branches: Sequence[torch.Tensor]) -> torch.Tensor:
        """Guided, and each patch brought back to the length that it had in the positive branch."""
        guided = super().guide(spec, branches)
        if len(branches) == 1:
            return guided
        patches, positive = pack(guided), pack(branches[-1])
        length = positive.norm(dim=-1, keepdim=True) / patches.norm(dim=-1, keepdim=True)
        return unpack(patches * length, *guided.shape[-2:])

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the transformer, every row at its own timestep and with a text of its own length."""
        rows, _, height, width = latents.shape
        prediction: torch.Tensor = self._denoiser(
            hidden_states=pack(latents).to(self.dtype),
            timestep=timesteps / 1000,
            encoder_hidden_states=cond.text,
            encoder_hidden_states_mask=cond.mask,
            img_shapes=[[(1, height // 2, width // 2)]] * rows,
            return_dict=False,
        )[0]
        return unpack(prediction, height, width).float()

    def encode(self, pixels: torch.Tensor, tile: bool) -> LatentSampler:
        """The picture is a film of one frame."""
        draw = super().encode(pixels.unsqueeze(2), tile)
        return lambda generator: draw(generator).squeeze(2)

    def _decoded(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        return super()._decoded(latents.unsqueeze(2), tile).squeeze(2)

    def _scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Each channel has its own mean and deviation."""
        mean, deviation = self._spread(latents)
        return (latents - mean) / deviation

    def _unscaled(self, latents: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._spread(latents)
        return latents * deviation + mean

    def _spread(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        config = self._vae.config
        mean, deviation = (
            torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, deviation
