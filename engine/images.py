"""Pictures on their way out: grids and JPEG previews. Pillow only."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image

BLANK = (49, 51, 56)
"""Colour of a cell without a picture: Discord's dark background, so that it reads as absent."""


def columns_for(count: int) -> int:
    """Columns of the grid for ``count`` pictures: as square as can be, never more than one row short."""
    return math.ceil(math.sqrt(count))


def grid(images: Sequence[Image.Image], columns: int | None = None, gap: int = 0) -> Image.Image:
    """One RGB picture of all ``images`` in reading order; a last row that is not full is centred.

    Four pictures make 2x2, three 2+1, five 3+2. All cells have the size of the first picture; others are
    fitted into it. Raises ValueError without pictures.
    """
    if not images:
        raise ValueError("a grid needs at least one picture")
    columns = columns or columns_for(len(images))
    rows = math.ceil(len(images) / columns)
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), BLANK)
    places = corners(len(images), (width + gap, height + gap), columns)
    for image, place in zip(images, places, strict=True):
        sheet.paste(_fitted(image, (width, height)), place)
    return sheet


def corners(count: int, cell: tuple[int, int], columns: int) -> list[tuple[int, int]]:
    """Left and top, in pixels, of each picture of a grid whose cells are ``cell`` wide and high."""
    places = []
    for index in range(count):
        row, column = divmod(index, columns)
        missing = columns - min(columns, count - row * columns)
        places.append((column * cell[0] + missing * cell[0] // 2, row * cell[1]))
    return places


def apart(sheet: Image.Image, count: int) -> list[Image.Image]:
    """The pictures of a :func:`grid` without gaps; ValueError for a picture that is no such grid."""
    columns = columns_for(count)
    rows = math.ceil(count / columns)
    width, height = sheet.width // columns, sheet.height // rows
    if (width * columns, height * rows) != sheet.size:
        raise ValueError(f"{sheet.width}x{sheet.height} pixels are no grid of {count} pictures")
    return [
        sheet.crop((left, top, left + width, top + height))
        for left, top in corners(count, (width, height), columns)
    ]


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    image = image.convert("RGB")
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def jpeg(image: Image.Image, quality: int = 70) -> bytes:
    """``image`` as JPEG bytes; ``quality`` 1 to 95."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
