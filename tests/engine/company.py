"""Specs through the engine's stages in mixed company, as tensors, so that 1e-5 can be told."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file

from engine import stages
from engine.api import GenerationSpec
from engine.fake import gradient
from engine.models.registry import Registry
from engine.stages import Batcher, Rows

TOLERANCE = 1e-5
CPU = torch.device("cpu")


def encoded(image: Image.Image) -> bytes:
    """As PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def picture(width: int, height: int) -> bytes:
    """A PNG to start from."""
    return encoded(gradient(3, width, height))


def lacking_a_weight(folder: Path, copy: Path) -> Path:
    """A transformers model of one file, copied without the first of its weights."""
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    state = load_file(copy / "model.safetensors")
    state.pop(next(key for key in state if key.endswith("weight")))
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    return copy


def disc(side: int) -> Image.Image:
    """A mask whose edge is nowhere in line with the latents."""
    y, x = np.mgrid[:side, :side]
    return Image.fromarray((np.hypot(y - side * 0.45, x - side * 0.55) < side * 0.3).astype(np.uint8) * 255)


class Company:
    """The models of a registry, stepped by hand."""

    def __init__(
        self, registry: Registry, dtype: torch.dtype = torch.float32, device: torch.device = CPU
    ) -> None:
        self._registry = registry
        self._dtype = dtype
        self._device = device

    def family(self, model: str) -> Any:
        return self._registry.load(model, self._device, self._dtype)

    def prepare(self, spec: GenerationSpec) -> Rows:
        return stages.prepare(self.family(spec.model), spec, spec.seeds)

    def run(
        self,
        specs: Sequence[GenerationSpec],
        arrivals: Sequence[int] | None = None,
        sizes: tuple[int, ...] = (),
    ) -> list[torch.Tensor]:
        """Pixels of each spec; spec i joins at tick ``arrivals[i]``. All share the forward passes, which are
        filled up to one of ``sizes``.
        """
        batcher, tick = Batcher(sizes), 0
        due = dict(enumerate(arrivals or [0] * len(specs)))
        rows: dict[int, Rows] = {}
        while due or any(not row.done for row in rows.values()):
            for index in [index for index, arrival in due.items() if arrival <= tick]:
                rows[index] = self.prepare(specs[index])
                del due[index]
            running = [row for row in rows.values() if not row.done]
            if running:
                for row, prediction in zip(running, batcher.predict(running, 64), strict=True):
                    stages.advance(row, prediction, want_clean=False)
            tick += 1
        return [rows[index].family.decode(rows[index].latents, specs[index].tile) for index in sorted(rows)]

    def finish(self, rows: Rows) -> torch.Tensor:
        """Pixels of prepared rows, alone."""
        batcher = Batcher()
        while not rows.done:
            (prediction,) = batcher.predict([rows], 64)
            stages.advance(rows, prediction, want_clean=False)
        return rows.family.decode(rows.latents, rows.spec.tile)


def gap(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference on [0, 1]."""
    return float((ours - theirs).abs().max())


def alike(ours: Sequence[Image.Image], theirs: Sequence[Image.Image]) -> bool:
    """Whether they are the same but for rounding, which differs between batches on some processors."""
    pairs = zip(ours, theirs, strict=True)
    return all(np.asarray(ImageChops.difference(*pair)).max() <= 1 for pair in pairs)
