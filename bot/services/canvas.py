"""Room around a picture, for zoom, pan and square, and marks on it: a canvas, and the mask of what to paint.

The new ground repeats the picture's edge under noise, so that the model finds colours that fit and something
to paint from.
"""

from __future__ import annotations

import io
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw, ImageFont

from bot.domain.change import FIELDS, SIDE, Change, Layout
from bot.domain.sentence import say
from bot.errors import UserError

OVERLAY = 768
"""Longest side, in pixels, of the picture that regions are chosen on."""
GRAIN = 24
"""Largest difference of the noise from the edge it lies on, of 255."""
_Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Canvas:
    """``png``: the enlarged picture, RGB; ``mask``: of the same size, white where it is to be painted.

    They go into ``InitImage(png, strength=1.0, mask=mask, feather=...)``.
    """

    png: bytes = field(repr=False)
    mask: bytes = field(repr=False)
    width: int
    height: int


def zoomed(picture: bytes, factor: float, ratio: tuple[int, int] | None = None) -> Canvas:
    """The picture ``factor`` times smaller, in the middle of a canvas of its former size.

    ``ratio`` (width, height) gives the canvas another shape, of about the same area. ValueError for a factor
    below 1; UserError where neither leaves anything to paint.
    """
    if not factor >= 1:
        raise ValueError(f"a zoom by {factor} shows less, not more")
    opened = _opened(picture)
    wide, high = ratio or opened.size
    shape = (wide / high) / (opened.width / opened.height)
    width, height = (max(1, round(side)) for side in (opened.width * shape**0.5, opened.height / shape**0.5))
    scale = min(1, width / opened.width, height / opened.height) / factor
    inner = (max(1, round(opened.width * scale)), max(1, round(opened.height * scale)))
    if inner == (width, height):
        raise UserError(
            say("A zoom by 1 in the same shape leaves nothing to paint; choose more than 1, up to 2.")
        )
    small = opened.resize(inner, Image.Resampling.LANCZOS)
    return _laid(small, (width, height), ((width - inner[0]) // 2, (height - inner[1]) // 2))


def panned(picture: bytes, direction: str, share: float = 0.5) -> Canvas:
    """The picture on a canvas grown by ``share`` of its side to the ``left``, ``right``, ``up`` or ``down``.

    ValueError for another direction, or a share that adds nothing.
    """
    opened = _opened(picture)
    across = direction in ("left", "right")
    more = round((opened.width if across else opened.height) * share)
    if direction not in ("left", "right", "up", "down") or more < 1:
        raise ValueError(f"no pan to {direction!r} by {share}")
    size = (opened.width + more * across, opened.height + more * (not across))
    return _laid(opened, size, (more * (direction == "left"), more * (direction == "up")))


def squared(picture: bytes) -> Canvas:
    """The picture in the middle of a square of its longer side; UserError where it is one already."""
    opened = _opened(picture)
    side = max(opened.size)
    if opened.width == opened.height:
        raise UserError(say("This picture is square already; use Zoom Out to see more of it."))
    return _laid(opened, (side, side), ((side - opened.width) // 2, (side - opened.height) // 2))


def marked(picture: bytes, cells: Collection[int]) -> Canvas:
    """The picture itself, and a mask of the zero-based ``cells`` of the grid laid over it."""
    opened = _opened(picture)
    mask = Image.new("L", opened.size, 0)
    for cell in cells:
        mask.paste(255, cell_box(cell, opened.size))
    return Canvas(picture, _png(mask), *opened.size)


def cell_box(cell: int, size: tuple[int, int]) -> _Box:
    """Left, top, right and bottom of one field of the grid, in pixels; the fields tile the picture."""
    row, column = divmod(cell, SIDE)
    width, height = size
    return (
        column * width // SIDE,
        row * height // SIDE,
        (column + 1) * width // SIDE,
        (row + 1) * height // SIDE,
    )


def numbered(picture: bytes) -> bytes:
    """A copy for choosing from, 768 pixels on its longer side, as PNG: a number in each field of the grid."""
    shown = _opened(picture)
    scale = OVERLAY / max(shown.size)
    shown = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
    draw = ImageDraw.Draw(shown, "RGBA")
    font = ImageFont.load_default(size=max(16, min(shown.size) // 10))
    for cell in range(FIELDS):
        box = cell_box(cell, shown.size)
        draw.rectangle(box, outline=(255, 255, 255, 200), width=2)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        draw.text(
            middle,
            str(cell + 1),
            font=font,
            anchor="mm",
            fill=(255, 255, 255, 255),
            stroke_width=3,
            stroke_fill=(0, 0, 0, 200),
        )
    return _png(shown)


def laid_out(picture: bytes, change: Change) -> Canvas:
    """The picture as a button wants it; UserError where that leaves nothing to paint."""
    if change.layout is Layout.ZOOM:
        return zoomed(picture, change.factor, change.ratio)
    if change.layout is Layout.SQUARE:
        return squared(picture)
    if change.layout is Layout.CELLS:
        return marked(picture, change.cells)
    return panned(picture, str(change.layout))


def feather(size: tuple[int, int]) -> int:
    """Pixels over which new ground fades into the picture, for a picture painted at ``size``."""
    return max(1, min(size) // 16)


def _opened(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture), formats=["PNG", "JPEG", "WEBP"]) as opened:
        return opened.convert("RGB")


def _laid(picture: Image.Image, size: tuple[int, int], corner: tuple[int, int]) -> Canvas:
    (width, height), (left, top) = size, corner
    ground = Image.new("RGB", size)
    for target, source in _strips(picture.size, size, corner):
        ground.paste(picture.crop(source).resize((target[2] - target[0], target[3] - target[1])), target[:2])
    ground = _grained(ground)
    ground.paste(picture, corner)
    mask = Image.new("L", size, 255)
    mask.paste(0, (left, top, left + picture.width, top + picture.height))
    return Canvas(_png(ground), _png(mask), width, height)


def _strips(
    inner: tuple[int, int], outer: tuple[int, int], corner: tuple[int, int]
) -> Iterator[tuple[_Box, _Box]]:
    """Target and source of each piece of the edge: four sides and four corners, as far as there are any."""
    columns, rows = (
        (
            ((0, before), (0, 1)),
            ((before, before + length), (0, length)),
            ((before + length, whole), (length - 1, length)),
        )
        for before, length, whole in zip(corner, inner, outer, strict=True)
    )
    for (left, right), (from_left, from_right) in columns:
        for (top, bottom), (from_top, from_bottom) in rows:
            if right > left and bottom > top:
                yield (left, top, right, bottom), (from_left, from_top, from_right, from_bottom)


def _grained(ground: Image.Image) -> Image.Image:
    """Noise by a fixed seed over everything, so that the same picture gives the same canvas."""
    grain = Image.frombytes("RGB", ground.size, random.Random(0).randbytes(ground.width * ground.height * 3))
    lighter, darker = (
        grain.point([max(0, sign * (v - 128)) * GRAIN // 128 for v in range(256)] * 3) for sign in (1, -1)
    )
    return ImageChops.subtract(ImageChops.add(ground, lighter), darker)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
