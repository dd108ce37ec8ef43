"""Latents to rough colours by a linear map, so that a picture can be watched at no cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from engine.models.base import ModelFamily
    from engine.models.stock import StockPipeline

SAMPLES, SIDE, COARSE = 8, 16, 4


def fit_rgb(
    family: ModelFamily | StockPipeline, channels: int, known: tuple[tuple[float, ...], ...] | None = None
) -> torch.Tensor:
    """(C + 1, 3): weights of each latent channel, then the bias; ``known`` when the folder brings it.

    Least squares over decoded smooth noise: real latents are smooth, and white noise decodes to grey.
    """
    if known is not None:
        return torch.tensor(known, dtype=torch.float32, device=family.device)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn((SAMPLES, channels, COARSE, COARSE), generator=generator)
    latents = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").to(family.device)
    pixels = torch.nn.functional.interpolate(family.decode(latents, False), size=(SIDE, SIDE), mode="area")
    columns = latents.movedim(1, -1).reshape(-1, channels)
    columns = torch.cat([columns, torch.ones_like(columns[:, :1])], dim=1)
    targets = pixels.movedim(1, -1).reshape(-1, 3)
    solution: torch.Tensor = torch.linalg.lstsq(columns.cpu(), targets.cpu()).solution
    return solution.to(family.device)


def to_rgb(latents: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, 3, h, w) in [0, 1]."""
    return (torch.einsum("bchw,cr->brhw", latents, matrix[:-1]) + matrix[-1].view(1, 3, 1, 1)).clamp(0, 1)
