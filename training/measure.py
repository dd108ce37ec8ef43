"""What can be read off a picture's pixels without a network: mask, colours, count, silhouette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.things import COLOURS

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
SIDE = 64
"""Pixels a side of the pictures that are measured; the model's own are averaged down to it."""
PALETTE: Floats = (np.array([colour.rgb for colour in COLOURS]) / 255).astype(np.float32)


def reduced(pictures: Floats) -> Floats:
    """(N, H, W, 3) pictures averaged down to (N, 64, 64, 3)."""
    number, height, width, channels = pictures.shape
    cells = pictures.reshape(number, SIDE, height // SIDE, SIDE, width // SIDE, channels)
    return np.asarray(cells.mean((2, 4)), np.float32)


def lab(rgb: Floats) -> Floats:
    """sRGB in 0..1 (..., 3) to OKLab (Ottosson 2020), where distances follow the eye."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4).astype(np.float32)
    to_cone = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ],
        np.float32,
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ],
        np.float32,
    )
    return np.asarray(np.cbrt(np.maximum(linear @ to_cone.T, 0)) @ to_lab.T, np.float32)


def nearest_colour(rgb: Floats) -> NDArray[np.intp]:
    """The index in COLOURS of each pixel; lightness counts less than hue, for shading changes it."""
    weight = np.array([0.6, 1.4, 1.4], np.float32)
    distance = ((lab(rgb)[..., None, :] - lab(PALETTE)) * weight) ** 2
    return np.asarray(distance.sum(-1).argmin(-1))


def background(rgb: Floats) -> Floats:
    """The background's colour by row, (H, 1, 3), from the outermost pixels; it may have a gradient."""
    sides = np.concatenate([rgb[:, :3], rgb[:, -3:]], axis=1)
    middle = np.median(sides, axis=1)
    rows = np.arange(len(middle))
    fits = [np.polyval(np.polyfit(rows, middle[:, c], 1), rows) for c in range(3)]
    return np.stack(fits, -1).astype(np.float32)[:, None]


def mask(rgb: Floats) -> Mask:
    """Which pixels differ from the background, speckles removed, holes filled."""
    difference = np.abs(rgb - background(rgb)).max(-1)
    found = opened(difference > 0.13)
    return ~outside(found)


def _shifted(m: Mask) -> list[Mask]:
    """The mask and its four neighbours."""
    padded = np.pad(m, 1)
    return [padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]


def opened(m: Mask) -> Mask:
    """Erode, then dilate: removes what is one pixel thin."""
    eroded = np.logical_and.reduce(_shifted(m))
    return np.asarray(np.logical_or.reduce(_shifted(eroded)) & m)


def components(m: Mask) -> list[Mask]:
    """Connected parts (4 neighbours), biggest first."""
    left, parts = m.copy(), []
    while left.any():
        part = np.zeros_like(left)
        part[np.unravel_index(int(left.argmax()), left.shape)] = True
        while True:
            grown = np.logical_or.reduce(_shifted(part)) & left
            if (grown == part).all():
                break
            part = grown
        left &= ~part
        parts.append(part)
    return sorted(parts, key=lambda part: -int(part.sum()))


def outside(m: Mask) -> Mask:
    """The background that is connected to the picture's edge."""
    free = np.pad(~m, 1, constant_values=True)
    reached = np.zeros_like(free)
    reached[0] = True
    while True:
        grown = np.logical_or.reduce(_shifted(reached)) & free
        if (grown == reached).all():
            return np.asarray(grown[1:-1, 1:-1])
        reached = grown


def count(rgb: Floats) -> int:
    """How many things: parts of at least a quarter of the biggest one's area."""
    areas = [int(part.sum()) for part in components(mask(rgb))]
    return sum(area >= max(12, areas[0] * 0.25) for area in areas)


def has_colours(rgb: Floats, thing: int, ground: int) -> tuple[bool, bool]:
    """Whether the thing shows its colour (on a fifth of its pixels) and the background its own."""
    found = mask(rgb)
    edge = background(rgb)
    right_ground = int(nearest_colour(np.median(edge, axis=0))[0]) == ground
    if not found.any():
        return False, right_ground
    share = float((nearest_colour(rgb[found]) == thing).mean())
    return share >= 0.2, right_ground


def palette(rgb: Floats, levels: int = 6) -> Floats:
    """(levels ** 3,): the shares of the thing's pixels in each cell of RGB."""
    cells = (rgb[mask(rgb)] * 0.999 * levels).astype(int) @ np.array([levels**2, levels, 1])
    counts = np.bincount(cells, minlength=levels**3)
    return np.asarray(counts / max(1, counts.sum()), np.float32)


def silhouette(rgb: Floats, side: int = 24) -> Floats:
    """The biggest part's outline, (side, side) in 0..1."""
    parts = components(mask(rgb))
    if not parts:
        return np.zeros((side, side), np.float32)
    ys, xs = np.nonzero(parts[0])
    reach = max(int(np.ptp(ys)), int(np.ptp(xs))) + 1
    top, first = (ys.min() + ys.max() + 1 - reach) / 2, (xs.min() + xs.max() + 1 - reach) / 2
    grid = (np.arange(side) + 0.5) / side * reach - 0.5
    rows, columns = np.round(grid + top).astype(int), np.round(grid + first).astype(int)
    inside = (rows >= 0)[:, None] & (rows < len(rgb))[:, None] & (columns >= 0) & (columns < rgb.shape[1])
    picked = parts[0][rows.clip(0, len(rgb) - 1)[:, None], columns.clip(0, rgb.shape[1] - 1)]
    return np.asarray(picked & inside, np.float32)


def overlap(a: Floats, b: Floats) -> Floats:
    """Intersection over union of outlines: (N, s, s) against (M, s, s) to (N, M)."""
    x, y = a.reshape(len(a), -1), b.reshape(len(b), -1)
    both = x @ y.T
    return np.asarray(both / np.maximum(x.sum(1)[:, None] + y.sum(1)[None] - both, 1e-6), np.float32)
