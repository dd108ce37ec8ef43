"""What the loop asks of a family of models: the arithmetic of one architecture, nothing of jobs or queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from diffusers import SchedulerMixin

from engine.api import GenerationSpec
from engine.profile import Profile

LatentSampler = Callable[[torch.Generator], torch.Tensor]
"""Draws latents (1, C, h, w) of an encoded picture; the generator decides where the encoder is random."""


class ModelFamily(Protocol):
    """A loaded model. Latents are float32 (B, C, h, w) on ``device``; pixels are float32 in [0, 1]."""

    profile: Profile
    device: torch.device
    dtype: torch.dtype

    def latent_shape(self, spec: GenerationSpec) -> tuple[int, int, int]:
        """(C, h, w) of one image of ``spec``."""
        ...

    def embed(self, text: str) -> torch.Tensor:
        """(1, L, D) conditioning of a text; kept, so that a repeated text costs nothing."""
        ...

    def scheduler(self, sampler: str) -> SchedulerMixin:
        """A scheduler of the job's own."""
        ...

    def encode(self, pixels: torch.Tensor, tile: bool) -> LatentSampler:
        """The latents of a picture, (1, 3, H, W) in [0, 1]."""
        ...

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: torch.Tensor, tile: bool
    ) -> torch.Tensor:
        """The model's prediction for rows (B, C, h, w) at timesteps (B,) under conditioning (B, L, D)."""
        ...

    def decode(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        """Pixels (B, 3, H, W) in [0, 1] of clean latents."""
        ...

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """Rough pixels (B, 3, h, w) in [0, 1] of clean latents by a linear map; costs next to nothing."""
        ...
