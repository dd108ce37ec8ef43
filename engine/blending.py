"""Several pictures as one where no IP-Adapter sees them: their latents under one noise, then denoised.

Interpolating between Images with Diffusion Models (Wang & Golland 2023, arXiv:2307.12560). Pipelines that run
as they are start from the pictures' mean instead.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import torch

from engine.api import BLEND_STRENGTH, GenerationSpec, InitImage
from engine.masks import mixed, read_picture


def spherical_mean(latents: Sequence[torch.Tensor]) -> torch.Tensor:
    """Of tensors (n, C, h, w), row by row: their mean's direction, and as long as they are in the mean.

    Of two it is the middle of their slerp. The plain mean is shorter than what a model knows, and grey.
    """
    stacked = torch.stack([each.flatten(1) for each in latents])
    mean = stacked.mean(0)
    length = stacked.norm(dim=-1, keepdim=True).mean(0)
    return mean.mul(length / mean.norm(dim=-1, keepdim=True).clamp_min(1e-6)).view_as(latents[0])


def from_mean(spec: GenerationSpec) -> GenerationSpec:
    """``spec`` with the mean of the pictures to start from in place of its blend, where it has one."""
    if not spec.blend:
        return spec
    pictures = [read_picture(data, spec.width, spec.height) for data in spec.blend]
    buffer = io.BytesIO()
    mixed(pictures).save(buffer, "PNG", compress_level=1)
    return replace(spec, blend=(), init=InitImage(buffer.getvalue(), BLEND_STRENGTH))
