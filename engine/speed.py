"""What makes a loaded model faster on its device, and changes its pictures by rounding at most.

With ``compile`` the blocks that a denoiser is made of are compiled, each kind once for all its copies
(regional compilation), for batches of a few sizes; ``graphs`` also replays their launches as CUDA graphs.
On CUDA its convolutions then get the layout that their kernels want; without compiled norms between them
that layout costs more than it gives (docs/performance.md). Attention is torch's own
scaled_dot_product_attention everywhere, by diffusers' default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)
BUCKETS = (1, 2, 4, 8, 16, 32)
"""Rows of a compiled pass; what lies between is filled up, since each size is compiled anew."""
SHAPES_A_BLOCK, SHAPES = 512, 8192
"""Compiled forms of one piece of code, and of all; torch's own 8 and 256 are fewer than sizes of pictures."""
PIECES = frozenset({"ResnetBlock2D"})
"""Blocks that diffusers' own lists leave out: in a UNet their norms and activations are most of what is no
matrix product.
"""
CompileBlock = Callable[[torch.nn.Module], None]


def prepare_cache(folder: Path | None) -> None:
    """Where compiled code is kept, so that a restart does not compile again; before the first compilation."""
    if folder is not None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))
        os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")


def buckets(mode: str) -> tuple[int, ...]:
    """Sizes that batches are filled up to; none where nothing is compiled."""
    return () if mode == "off" else BUCKETS


def tune(family: Any, mode: str = "off", compile_block: CompileBlock | None = None) -> None:
    """Make a loaded model fast, once; what it does not allow is left as it is, with a line in the log."""
    pipeline = family.pipeline
    try:
        denoiser = getattr(pipeline, family.profile.family.denoiser, None)
        if mode == "off" or not isinstance(denoiser, torch.nn.Module):
            return
        if family.device.type == "cuda":
            lay_out(denoiser)
        _forgive()
        fuse: Callable[[], None] | None = getattr(denoiser, "fuse_qkv_projections", None)
        if fuse is not None and not family.profile.loras:
            fuse()
        for block in blocks_of(denoiser):
            (compile_block or _compiler(mode))(block)
    except Exception as error:
        log.warning("model %s runs untuned: %s", family.profile.info.name, error)


def lay_out(network: torch.nn.Module) -> None:
    """Channels last for the convolutions of pictures; those of films have no such layout."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _forgive() -> None:
    """Blocks are compiled when they first run, far from here: one without a compiler runs as it is, and one
    that many sizes of picture come through is compiled for each of them.
    """
    config: Any = import_module("torch._dynamo.config")  # takes seconds, and most never compile
    config.suppress_errors = True
    config.recompile_limit, config.accumulated_recompile_limit = SHAPES_A_BLOCK, SHAPES


def blocks_of(denoiser: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The blocks that repeat, by diffusers' own list of their classes and :data:`PIECES`."""
    names = PIECES | set(getattr(denoiser, "_repeated_blocks", None) or ())
    return (module for module in denoiser.modules() if type(module).__name__ in names)


def _compiler(mode: str) -> CompileBlock:
    options: dict[str, Any] = {"mode": "reduce-overhead"} if mode == "graphs" else {}
    return lambda block: block.compile(dynamic=False, **options)


def filled(rows: int, sizes: tuple[int, ...]) -> int:
    """The size that a batch of ``rows`` is filled up to."""
    return next((size for size in sizes if size >= rows), rows)


def fill(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    """(B, ...) with its last row repeated up to ``rows``."""
    more = rows - tensor.shape[0]
    return torch.cat([tensor, tensor[-1:].expand(more, *tensor.shape[1:])]) if more > 0 else tensor
