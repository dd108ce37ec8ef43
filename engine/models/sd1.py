"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, and a VAE of any kind and factor.

High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al. 2022), as in diffusers'
StableDiffusionPipeline, which every result is tested against.
"""

from __future__ import annotations

import torch

from engine.conditioning import Conditioning
from engine.models.adapters import teach
from engine.models.clip import tokens
from engine.models.latent import LatentFamily
from engine.models.references import attended
from engine.models.tiling import circular
from engine.profile import Profile


class StableDiffusion1(LatentFamily):
    """ModelFamily of StableDiffusionPipeline folders."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(profile, device, dtype)
        self._taught = bool(profile.source.embeddings)
        teach(self.pipeline, dict(profile.source.embeddings))

    def _embed(self, text: str) -> Conditioning:
        """Last hidden states of the text encoder, chunk after chunk."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        if self._taught:
            text = self.pipeline.maybe_convert_prompt(text, tokenizer)
        masked = getattr(encoder.config, "use_attention_mask", False)
        hidden = [
            chunk.weigh(encoder(chunk.ids, attention_mask=chunk.mask if masked else None)[0])
            for chunk in tokens(tokenizer, text, self.device)
        ]
        return Conditioning(torch.cat(hidden, dim=1).to(self.dtype))

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the UNet, every row at its own timestep; one a length where it pools the text."""
        if cond.mask is not None and self._denoiser.config.addition_embed_type == "text":
            return self._by_length(latents, timesteps, cond, tile)
        with circular(self._denoiser_layers, tile):
            prediction: torch.Tensor = self._denoiser(
                latents.to(self.dtype),
                timesteps,
                encoder_hidden_states=cond.text,
                encoder_attention_mask=cond.mask,
                cross_attention_kwargs=attended(cond),
                return_dict=False,
            )[0]
        return prediction.float()

    def _by_length(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """The pooling knows no mask: what fills up a shorter text would count."""
        assert cond.mask is not None
        lengths = cond.mask.sum(1).tolist()
        prediction = torch.empty_like(latents)
        for length in sorted(set(lengths)):
            rows = [row for row, own in enumerate(lengths) if own == length]
            beside = {name: tensor[rows] for name, tensor in cond.extra.items()}
            text = Conditioning(cond.text[rows, :length], extra=beside)
            prediction[rows] = self.denoise(latents[rows], timesteps[rows], text, tile)
        return prediction
