"""What of a picture is kept while the rest is painted: noised alike and laid over the latents at every step.

As diffusers' StableDiffusionInpaintPipeline does it for models that know nothing of masks (blended latents,
Avrahami et al. 2022, arXiv:2206.02779); models made for inpainting take mask and masked picture beside the
latents instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import adaptive_max_pool2d, interpolate

from engine.masks import Mask
from engine.models.base import LatentSampler, ModelFamily


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """``latents`` (n, C, h, w) of the picture, the ``noise`` that the images began with, and the ``mask``
    (1, 1, h, w): 1 is painted, 0 is kept.
    """

    latents: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor

    def blend(self, scheduler: Any, latents: torch.Tensor, timestep: torch.Tensor | None) -> torch.Tensor:
        """``latents`` with what is kept laid over, noised to ``timestep``; clean for None."""
        kept = (
            self.latents if timestep is None else noised(scheduler, self.latents, self.noise, timestep[None])
        )
        blended: torch.Tensor = (1 - self.mask) * kept + self.mask * latents
        return blended


def noised(
    scheduler: Any, latents: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor
) -> torch.Tensor:
    """Clean latents (n, C, h, w) with as much noise as ``timestep`` (1,) has."""
    result: torch.Tensor = (
        scheduler.scale_noise(latents, timestep.repeat(len(latents)), noise)
        if hasattr(scheduler, "scale_noise")
        else scheduler.add_noise(latents, noise, timestep.repeat(len(latents)))
    )
    return result


def mask_of_latents(soft: Mask, hard: bool, height: int, width: int, device: torch.device) -> torch.Tensor:
    """(1, 1, height, width) of 0 and 1: a ``hard`` mask as the stock pipeline samples it; otherwise all that
    touches the soft edge is painted, so that there is something to fade to.
    """
    pixels = torch.from_numpy(soft)[None, None].to(device)
    if hard:
        return interpolate(pixels, size=(height, width))
    return (adaptive_max_pool2d(pixels, (height, width)) > 0).float()


def beside(
    family: ModelFamily,
    pictures: Sequence[torch.Tensor],
    soft: Mask | None,
    mask: torch.Tensor,
    generators: Sequence[torch.Generator],
    tile: bool,
) -> torch.Tensor:
    """(n, 1 + C, h, w): what an inpainting model takes beside the latents. ``pictures`` (1, 3, H, W)."""
    samplers: list[LatentSampler] = []
    for picture in pictures:
        painted = torch.ones_like(picture[:, :1]) if soft is None else torch.from_numpy(soft > 0)[None, None]
        samplers.append(family.encode(torch.where(painted.bool(), 0.5, picture), tile))
    masked = torch.cat([draw(generator) for draw, generator in zip(samplers, generators, strict=True)])
    return torch.cat([mask.expand(len(masked), -1, -1, -1), masked], dim=1)
