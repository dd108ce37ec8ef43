"""Circular padding for the length of a call, so that a picture's edges meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
