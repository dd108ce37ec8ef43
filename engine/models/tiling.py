"""Tiles: pictures whose edges meet, and pictures decoded a tile at a time where memory is short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def padded(module: torch.nn.Module) -> tuple[torch.nn.Conv2d, ...]:
    """The convolutions of ``module`` that pad with zeros, those that a tiling picture must not have."""
    return tuple(
        layer
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d)
        and layer.padding_mode == "zeros"
        and layer.padding not in (0, (0, 0))
    )


@contextmanager
def circular(layers: tuple[torch.nn.Conv2d, ...], on: bool) -> Iterator[None]:
    """Within the block, and only with ``on``, ``layers`` wrap around instead of padding with zeros."""
    if not on:
        yield
        return
    try:
        for layer in layers:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer in layers:
            layer.padding_mode = "zeros"


@contextmanager
def in_tiles(family: Any, on: bool) -> Iterator[None]:
    """Within the block, and only with ``on``, an autoencoder works tile by tile: in less memory, and a little
    differently where they meet.
    """
    vae: Any = getattr(family.pipeline, "vae", None)
    if not on or not hasattr(vae, "enable_tiling"):
        yield
        return
    if hasattr(vae, "spatial_scale_factor"):
        # diffusers takes every AutoencoderTiny for one of factor 8; each block but the first halves the side.
        factor = vae.config.upsampling_scaling_factor ** (len(vae.config.decoder_block_out_channels) - 1)
        vae.spatial_scale_factor, vae.tile_latent_min_size = factor, vae.tile_sample_min_size // factor
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.disable_tiling()
