"""What families share that were trained by flow matching: how their steps lie, and how noise is mixed in.

Flow Matching for Generative Modeling (Lipman et al. 2022, arXiv:2210.02747); steps shifted by the size of the
picture as Esser et al. 2024, arXiv:2403.03206, section 5.3.2.
"""

from __future__ import annotations

import math
from abc import ABC
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from engine import schedulers
from engine.api import GenerationSpec
from engine.models.latent import LatentFamily


class FlowFamily(LatentFamily, ABC):
    """ModelFamily of a transformer that predicts velocities."""

    def _scheduler(self, spec: GenerationSpec) -> Any:
        """Built from the folder's scheduler configuration, shifted for the size."""
        config = self.profile.scheduler
        if spec.steps == 1:
            # Steps are stretched between the first and the last, and one is both.
            config = {**config, "shift_terminal": None}
        mu = self._mu(spec)
        scheduler = schedulers.build(spec.sampler, config, _shift(config, mu))
        if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            scheduler.set_timesteps(device=self.device, mu=mu, **self._spaced(spec.steps))
        else:
            scheduler.set_timesteps(spec.steps, device=self.device)
        return scheduler

    def _spaced(self, steps: int) -> dict[str, Any]:
        """Noise levels before they are shifted, as the stock pipelines have them: evenly from 1 down."""
        return {"sigmas": np.linspace(1.0, 1 / steps, steps)}

    def _mu(self, spec: GenerationSpec) -> float:
        """By the number of patches, on the line through two that the configuration knows."""
        config = self.profile.scheduler
        low, high = float(config.get("base_image_seq_len", 256)), float(config.get("max_image_seq_len", 4096))
        least, most = float(config.get("base_shift", 0.5)), float(config.get("max_shift", 1.15))
        return least + (self._patches(spec) - low) * (most - least) / (high - low)

    def _patches(self, spec: GenerationSpec) -> int:
        _, height, width = self.latent_shape(spec)
        side = self.profile.family.patch
        return (height // side) * (width // side)

    def skipped(self, spec: GenerationSpec) -> int:
        """As the stock pipelines round: the steps that are done are rounded up."""
        if spec.init is None:
            return 0
        return min(int(spec.steps - spec.steps * spec.init.strength), spec.steps - 1)


def _shift(config: Any, mu: float) -> float | None:
    """What shifting by ``mu`` comes to for a scheduler of a fixed shift; None where there is none by size."""
    if not config.get("use_dynamic_shifting"):
        return None
    return mu if config.get("time_shift_type") == "linear" else math.exp(mu)


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) as a row of patches of two by two: (B, h * w / 4, C * 4)."""
    rows, channels, height, width = latents.shape
    patches = latents.view(rows, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(rows, height * width // 4, channels * 4)


def unpack(patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse of :func:`pack`, for latents of this height and width."""
    rows, _, channels = patches.shape
    latents = patches.view(rows, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return latents.reshape(rows, channels // 4, height, width)
