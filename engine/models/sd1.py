"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, and a VAE of any kind and factor.

High-Resolution Image Synthesis with Latent Diffusion Models (Rombach et al. 2022), as in diffusers'
StableDiffusionPipeline, which every result is tested against.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import diffusers
import torch
import transformers
from diffusers import SchedulerMixin, StableDiffusionPipeline

from engine import samplers
from engine.api import GenerationSpec, ModelUnavailable
from engine.models.base import LatentSampler
from engine.models.preview import fit_rgb, to_rgb
from engine.models.tiling import circular, padded
from engine.profile import Profile, factor_of

EMBEDDINGS_KEPT = 256


class StableDiffusion1:
    """ModelFamily of StableDiffusionPipeline folders. float32 gives the stock pipeline's pictures to 1e-5."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        self.profile = profile
        self.device = device
        self.dtype = dtype
        parts = _load(profile, dtype)
        self._tokenizer = parts["tokenizer"]
        self._text_encoder = parts["text_encoder"].to(device).eval()
        self._unet = parts["unet"].to(device).eval()
        self._vae = parts["vae"].to(device).eval()
        self._stock_scheduler = parts["scheduler"]
        self._factor = factor_of(self._vae.config)
        self._unet_layers, self._vae_layers = padded(self._unet), padded(self._vae)
        self._embeddings: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._rgb = fit_rgb(self, self._unet.config.in_channels, profile.latent_rgb)

    def latent_shape(self, spec: GenerationSpec) -> tuple[int, int, int]:
        """(C, height / f, width / f), f as the VAE has it."""
        return (self._unet.config.in_channels, spec.height // self._factor, spec.width // self._factor)

    @torch.inference_mode()
    def embed(self, text: str) -> torch.Tensor:
        """Last hidden state of the text encoder, cut and padded as the stock pipeline does."""
        if text in self._embeddings:
            self._embeddings.move_to_end(text)
            return self._embeddings[text]
        tokens = self._tokenizer(
            text,
            padding="max_length",
            max_length=self._tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        masked = getattr(self._text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if masked else None
        embedding = self._text_encoder(tokens.input_ids, attention_mask=mask)[0].to(self.dtype)
        self._embeddings[text] = embedding
        if len(self._embeddings) > EMBEDDINGS_KEPT:
            self._embeddings.popitem(last=False)
        return embedding  # type: ignore[no-any-return]

    def scheduler(self, sampler: str) -> SchedulerMixin:
        """Built from the folder's scheduler configuration; nothing is shared between jobs."""
        scheduler: SchedulerMixin = samplers.build(sampler, self._stock_scheduler.config)
        return scheduler

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor, tile: bool) -> LatentSampler:
        """The picture is encoded once, each image draws its own sample of the distribution."""
        with circular(self._vae_layers, tile):
            encoded = self._vae.encode((pixels * 2 - 1).to(self.device, self.dtype))
        scale = self._vae.config.scaling_factor
        if hasattr(encoded, "latents"):
            return lambda _: encoded.latents.float() * scale
        return lambda generator: encoded.latent_dist.sample(generator).float() * scale

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: torch.Tensor, tile: bool
    ) -> torch.Tensor:
        """One pass of the UNet, every row at its own timestep."""
        with circular(self._unet_layers, tile):
            prediction: torch.Tensor = self._unet(
                latents.to(self.dtype), timesteps, encoder_hidden_states=cond, return_dict=False
            )[0]
        return prediction.float()

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        """One pass of the VAE's decoder."""
        with circular(self._vae_layers, tile):
            scaled = (latents / self._vae.config.scaling_factor).to(self.dtype)
            pixels: torch.Tensor = self._vae.decode(scaled, return_dict=False)[0]
        return (pixels.float() / 2 + 0.5).clamp(0, 1)

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """Linear map fitted to this VAE."""
        return to_rgb(latents, self._rgb)


def _load(profile: Profile, dtype: torch.dtype) -> dict[str, Any]:
    """The components of the folder: safetensors only, no code of its own, nothing from the network."""
    os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"
    _hush()
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            profile.source.path,
            dtype=dtype,
            low_cpu_mem_usage=False,
            variant=profile.variant,
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    except Exception as error:
        raise ModelUnavailable(f"{profile.source.path} cannot be loaded: {error}") from error
    return dict(pipeline.components)


def _hush() -> None:
    """Progress bars and advice of the libraries are no matter for an operator's log."""
    for library in (diffusers.logging, transformers.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
