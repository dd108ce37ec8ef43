"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, and a VAE of any kind and factor.

High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al. 2022), as in diffusers'
StableDiffusionPipeline, which every result is tested against.
"""

from __future__ import annotations

import torch

from engine.conditioning import Conditioning
from engine.models.latent import LatentFamily
from engine.models.tiling import circular


class StableDiffusion1(LatentFamily):
    """ModelFamily of StableDiffusionPipeline folders."""

    def _embed(self, text: str) -> Conditioning:
        """Last hidden state of the text encoder, cut and padded as the stock pipeline does."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        tokens = tokenizer(
            text,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        masked = getattr(encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if masked else None
        return Conditioning(encoder(tokens.input_ids, attention_mask=mask)[0].to(self.dtype))

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the UNet, every row at its own timestep."""
        with circular(self._denoiser_layers, tile):
            prediction: torch.Tensor = self._denoiser(
                latents.to(self.dtype),
                timesteps,
                encoder_hidden_states=cond.text,
                encoder_attention_mask=cond.mask,
                return_dict=False,
            )[0]
        return prediction.float()
