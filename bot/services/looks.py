"""What can be told of a picture without any model: its colours, its light, its shape, how busy it is."""

from __future__ import annotations

import colorsys
import io
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageOps, ImageStat

_SIDE = 96
"""Pixels to which a picture is shrunk first: enough for all that is asked of it."""
_RATIOS = (
    (1, 1), (5, 4), (4, 5), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16), (2, 1), (1, 2), (3, 1), (1, 3),
)  # fmt: skip
_HUES = (
    (0.03, "red"),
    (0.1, "orange"),
    (0.18, "yellow"),
    (0.42, "green"),
    (0.52, "teal"),
    (0.69, "blue"),
    (0.79, "purple"),
    (0.94, "pink"),
    (1.01, "red"),
)
_LEAST_SHARE = 0.06


@dataclass(frozen=True, slots=True)
class Looks:
    """``colours`` by their share of the picture; the rest in words a prompt can use."""

    colours: tuple[str, ...]
    light: str
    texture: str
    ratio: tuple[int, int]
    """Width to height, the nearest usual one."""


def looks(png: bytes) -> Looks:
    """Measure an encoded picture; takes milliseconds. OSError when it cannot be read."""
    with Image.open(io.BytesIO(png)) as opened:
        size = opened.size
        small = ImageOps.contain(opened.convert("RGB"), (_SIDE, _SIDE))
    grey = ImageStat.Stat(small.convert("L"))
    saturation = ImageStat.Stat(small.convert("HSV").getchannel("S")).mean[0]
    edges = ImageStat.Stat(small.convert("L").filter(ImageFilter.FIND_EDGES)).mean[0]
    return Looks(
        _colours(small), _light(grey.mean[0], grey.stddev[0], saturation), _texture(edges), _ratio(*size)
    )


def _colours(picture: Image.Image) -> tuple[str, ...]:
    """Names of the main colours, the largest first, at most three."""
    reduced = picture.quantize(8, Image.Quantize.MEDIANCUT).convert("RGB")
    pixels = reduced.width * reduced.height
    shares: dict[str, float] = {}
    for count, colour in reduced.getcolors(pixels) or []:
        if isinstance(colour, tuple):
            name = colour_name(*colour[:3])
            shares[name] = shares.get(name, 0.0) + count / pixels
    ranked = sorted(shares, key=lambda name: -shares[name])
    return tuple(name for name in ranked[:3] if shares[name] >= _LEAST_SHARE)


def colour_name(red: int, green: int, blue: int) -> str:
    """The everyday word for a colour, channels from 0 to 255."""
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.18:
        return "black"
    if saturation < 0.14:
        return "white" if value > 0.85 else "light gray" if value > 0.6 else "gray"
    name = next(name for edge, name in _HUES if hue < edge)
    if name in ("orange", "red") and 0.03 <= hue < 0.12 and value < 0.65:
        return "brown"
    return f"dark {name}" if value < 0.45 else f"pale {name}" if saturation < 0.35 and value > 0.7 else name


def _light(mean: float, spread: float, saturation: float) -> str:
    said = "dark, low-key light" if mean < 75 else "bright, airy light" if mean > 180 else "even light"
    if spread > 75:
        said += ", high contrast"
    elif spread < 25:
        said += ", low contrast"
    return said + (", vivid colors" if saturation > 140 else ", muted colors" if saturation < 45 else "")


def _texture(edges: float) -> str:
    return "simple shapes" if edges < 14 else "rich in detail" if edges > 45 else "clear shapes"


def _ratio(width: int, height: int) -> tuple[int, int]:
    return min(_RATIOS, key=lambda ratio: abs(ratio[0] / ratio[1] - width / height) / (width / height))
