"""What makes a loaded model faster on its device, and changes its pictures by rounding at most.

On CUDA convolutions get the layout that its kernels want (on a CPU it is slower). With ``compile`` the blocks
that a denoiser is made of are compiled, each kind once for all its copies (regional compilation), for batches
of a few sizes; ``graphs`` also replays their launches as CUDA graphs. Attention is torch's own
scaled_dot_product_attention everywhere, by diffusers' default.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)
MODES = ("off", "blocks", "graphs")
BUCKETS = (1, 2, 4, 8, 16, 32)
"""Rows of a compiled pass; what lies between is filled up, since each size is compiled anew."""
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
    pipeline, device = family.pipeline, family.device
    parts: list[Any] = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    if device.type == "cuda":
        for part in parts:
            part.to(memory_format=torch.channels_last)
    denoiser = getattr(pipeline, family.profile.family.denoiser, None)
    if mode == "off" or not isinstance(denoiser, torch.nn.Module):
        return
    try:
        fuse: Callable[[], None] | None = getattr(denoiser, "fuse_qkv_projections", None)
        if fuse is not None and not family.profile.loras:
            fuse()
        for block in blocks_of(denoiser):
            (compile_block or _compiler(mode))(block)
    except Exception as error:
        log.warning("model %s runs uncompiled: %s", family.profile.info.name, error)


def blocks_of(denoiser: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The blocks that repeat, by diffusers' own list of their classes."""
    names = set(getattr(denoiser, "_repeated_blocks", None) or ())
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
