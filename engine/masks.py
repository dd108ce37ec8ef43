"""Masks of inpainting: read, softened at the edge, and used to put back what was to be kept. Torch-free."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from engine.api import EngineError, InitImage
from engine.sentence import Sentence, say

FORMATS = ("PNG", "JPEG", "WEBP")
Mask = npt.NDArray[np.float32]
"""(H, W) in [0, 1]: 1 is painted anew, 0 is kept."""


def read_picture(data: bytes, width: int, height: int) -> Image.Image:
    """RGB of the given size, cropped about its centre; EngineError when it cannot be read."""
    return ImageOps.fit(opened(data), (width, height), Image.Resampling.LANCZOS)


def mixed(pictures: Sequence[Image.Image]) -> Image.Image:
    """The mean of RGB pictures of one size."""
    mean = np.mean([np.asarray(picture, dtype=np.float32) for picture in pictures], axis=0)
    return Image.fromarray(np.round(mean).astype(np.uint8))


def in_shape(data: bytes, ratio: float) -> Image.Image:
    """RGB, as large as it is, cropped about its centre to ``ratio`` of width to height; EngineError too."""
    picture = opened(data)
    width = min(picture.width, max(1, round(picture.height * ratio)))
    height = min(picture.height, max(1, round(picture.width / ratio)))
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


START, MASK, REFERENCE = say("The picture to start from"), say("The mask"), say("A reference picture")


def unreadable(what: Sentence) -> Sentence:
    """What is said of a picture that is none."""
    return say("{what} cannot be read; send it as PNG, JPEG or WebP.", what=what)


def opened(data: bytes, what: Sentence = START) -> Image.Image:
    """RGB, as it is; EngineError that says of ``what`` that it cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return picture.convert("RGB")
    except Exception as error:
        raise EngineError(unreadable(what)) from error


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header alone; None when it is no picture."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return picture.size
    except Exception:
        return None


def read_mask(data: bytes, width: int, height: int) -> Mask:
    """0 and 1 alone, fitted as the picture is; EngineError when it cannot be read or marks nothing."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            grey = ImageOps.fit(picture.convert("L"), (width, height), Image.Resampling.BOX)
    except Exception as error:
        raise EngineError(unreadable(MASK)) from error
    mask = (np.asarray(grey) >= 128).astype(np.float32)
    if not mask.any():
        raise EngineError(say("The mask marks nothing to paint anew; make white what should change."))
    return mask


def softened(mask: Mask, feather: int) -> Mask:
    """``mask`` with an edge that falls to 0 over ``feather`` pixels outside of it; inside it stays 1."""
    if feather <= 0:
        return mask
    grow, blur = feather - feather // 2, feather // 2
    return _spread((_spread(mask, grow) > 0).astype(np.float32), blur)


def _spread(mask: Mask, radius: int) -> Mask:
    """Mean over a square of ``2 radius + 1`` pixels, the edge repeated."""
    for axis in (0, 1):
        padded = np.pad(mask, [(radius + 1, radius) if each == axis else (0, 0) for each in (0, 1)], "edge")
        sums = np.cumsum(padded, axis, dtype=np.float64)
        window = 2 * radius + 1
        upper = np.take(sums, range(window, sums.shape[axis]), axis)
        lower = np.take(sums, range(sums.shape[axis] - window), axis)
        # Sums of ones are exact, and so is the difference: nothing is left where there was nothing.
        mask = ((upper - lower) / window).astype(np.float32)
    return mask


def restored(painted: Image.Image, kept: Image.Image, mask: Mask) -> Image.Image:
    """``painted`` where ``mask`` is 1, ``kept`` exactly where it is 0; all of one size."""
    alpha = Image.fromarray(np.round(mask * 255).astype(np.uint8))
    return Image.composite(painted, kept, alpha)


def put_back(painted: Image.Image, init: InitImage, width: int) -> Image.Image:
    """What the mask of ``init`` keeps, from the given picture itself where it has the pixels that ``painted``
    now has; ``width`` is the one that the feather counts by.
    """
    given = size_of(init.data)
    if init.mask is None or given is None or given[0] < painted.width or given[1] < painted.height:
        return painted
    feather = round(init.feather * painted.width / width)
    mask = softened(read_mask(init.mask, *painted.size), feather)
    return restored(painted, read_picture(init.data, *painted.size), mask)
