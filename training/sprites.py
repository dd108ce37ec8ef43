"""Every thing in every colour and style, recoloured once and read from disk by all who compose scenes."""

from __future__ import annotations

import os
from functools import cache
from multiprocessing import Pool

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.paths import RUNS, SPRITES
from training.recolour import recolour
from training.things import ALL, COLOURS, NO_COLOUR, STYLES, THINGS

SIDE = 160
TABLE = RUNS / "sprites.npy"
Bytes = NDArray[np.uint8]


def in_all_colours(style_and_thing: tuple[int, int]) -> Bytes:
    """(colours + 1, 160, 160, 4): a thing in each of COLOURS, and as it was drawn."""
    style, thing = style_and_thing
    picture = Image.open(SPRITES / STYLES[style].vendor / f"{THINGS[thing].key}.png").convert("RGBA")
    drawn = np.asarray(picture)
    floats = np.asarray(drawn / 255, np.float32)
    painted = [(recolour(floats, colour.rgb) * 255).round().clip(0, 255) for colour in COLOURS]
    return np.stack([*painted, drawn]).astype(np.uint8)


@cache
def table() -> Bytes:
    """(styles, things, colours + 1, 160, 160, 4) bytes, mapped from disk; made on first use."""
    if not TABLE.exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        wanted = [(style, thing) for style in range(len(STYLES)) for thing in ALL]
        part = TABLE.with_suffix(".part")
        shape = (len(STYLES), len(THINGS), NO_COLOUR + 1, SIDE, SIDE, 4)
        made = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        with Pool(os.cpu_count()) as pool:
            for place, pictures in zip(wanted, pool.imap(in_all_colours, wanted, chunksize=4), strict=True):
                made[place] = pictures
        made.flush()
        part.replace(TABLE)
    return np.asarray(np.load(TABLE, mmap_mode="r"))


def sprite(thing: int, colour: int, style: int) -> Image.Image:
    """A thing's sprite at 160 px, RGBA."""
    return Image.fromarray(np.asarray(table()[style, thing, colour]))
