"""Composes training scenes: sprites on coloured backgrounds, and what each one shows.

python -m training.scenes            # writes a contact sheet to training/runs/scenes.png, to look at
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.paths import RUNS
from training.sprites import sprite
from training.things import (
    ALL,
    COLOURS,
    FIXED_COLOUR,
    NO_COLOUR,
    PLAIN_SHAPES,
    THINGS,
    held_out,
)

SIDE = 128
UNIT = SIDE / 64  # places and sizes are told in sixty-fourths of the picture
ALIKE = {
    frozenset(pair) for pair in ((2, 1), (2, 10), (10, 11), (5, 6), (4, 5), (8, 9), (0, 7), (8, 1), (0, 1))
}
EFFORT = [0.4 if thing.key in PLAIN_SHAPES else 1.0 for thing in THINGS]  # what is easy is shown less
FLAT = 0.25  # the share of scenes in the second style
MIRRORED = frozenset({"banana", "moon"})  # things with a side, simple enough to learn from both
NATURAL = {colour.key: index for index, colour in enumerate(COLOURS)}


@dataclass(frozen=True)
class Scene:
    """What a scene shows: indices into THINGS and COLOURS; `other` is -1 where there is one kind of thing.

    `colour` and `other_colour` are NO_COLOUR for a thing in its natural colours; `style` indexes STYLES.
    """

    thing: int
    colour: int
    count: int
    other: int
    other_colour: int
    background: int
    style: int = 0


def clash(thing: int, colour: int, background: int) -> bool:
    """Whether the thing would vanish against the background."""
    shown = NATURAL.get(THINGS[thing].natural, NO_COLOUR) if colour == NO_COLOUR else colour
    return shown == background or frozenset((shown, background)) in ALIKE


def draw_colour(rng: random.Random, thing: int, plain: float) -> int:
    """A colour the thing may be shown in; natural with probability `plain`."""
    key = THINGS[thing].key
    if key in FIXED_COLOUR or (key not in PLAIN_SHAPES and rng.random() < plain):
        return NO_COLOUR
    return rng.choice([c for c in range(len(COLOURS)) if not held_out(thing, c)])


def draw_scene(rng: random.Random, pairs: float = 0.1) -> Scene:
    """A random scene: mostly one thing, sometimes two or three, or (a share of `pairs`) two kinds."""
    kind = rng.random()
    thing = rng.choices(ALL, EFFORT)[0]
    colour = draw_colour(rng, thing, 0.55)
    other, other_colour, count = -1, NO_COLOUR, 1
    if kind > 1 - pairs:
        other = rng.choice([index for index in ALL if index != thing])
        other_colour = draw_colour(rng, other, 0.6)
    elif kind < 0.17:
        count = 2 if kind < 0.08 else 3
    grounds = [
        b
        for b in range(len(COLOURS))
        if not clash(thing, colour, b) and (other < 0 or not clash(other, other_colour, b))
    ]
    style = int(rng.random() < FLAT)
    return Scene(thing, colour, count, other, other_colour, rng.choice(grounds or [10]), style)


def as_floats(picture: Image.Image) -> NDArray[np.float32]:
    """(H, W, channels) in 0..1."""
    return np.asarray(np.asarray(picture, np.float32) / 255, np.float32)


def ground(rng: random.Random, background: int) -> Image.Image:
    """A background: one colour, a little lighter or darker, with a soft vertical gradient."""
    base = np.array(COLOURS[background].rgb, np.float32)
    towards = np.float32(255 if rng.random() < 0.6 or background == 9 else 0)
    base = base + (towards - base) * rng.uniform(0, 0.16)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None, None] * rng.uniform(-14, 14)
    return Image.fromarray(np.clip(base + ramp + np.zeros((SIDE, SIDE, 3)), 0, 255).astype(np.uint8), "RGB")


def places(rng: random.Random, scene: Scene) -> list[tuple[float, float, float]]:
    """Centre x, y and size in UNITs of each thing in the scene, left to right."""

    def near(x: float, y: float, size: float) -> tuple[float, float, float]:
        return x + rng.uniform(-1, 1), y + rng.uniform(-1.5, 1.5), size

    if scene.count == 1 and scene.other < 0:
        return [(32 + rng.uniform(-2.5, 2.5), 32 + rng.uniform(-2.5, 2.5), rng.uniform(45, 52))]
    if scene.count == 3:
        size = rng.uniform(19, 22)
        if rng.random() < 0.7:
            lift = rng.choice((1, -1)) * rng.uniform(10, 13)
            return [near(13, 32 + lift, size), near(32, 32 - lift, size), near(51, 32 + lift, size)]
        return [near(11, 32, 17.5), near(32, 32, 17.5), near(53, 32, 17.5)]
    size = rng.uniform(25, 28)
    slant = rng.uniform(-5, 5)
    return [near(16.5, 32 + slant, size), near(47.5, 32 - slant, size)]


def put(canvas: Image.Image, picture: Image.Image, x: float, y: float, size: float, tilt: float) -> None:
    """Paint a sprite of `size` UNITs, turned by `tilt` degrees, with a soft shadow under it."""
    side = round(size * UNIT)
    upright = picture.resize((side, side), Image.Resampling.LANCZOS)
    small = upright.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    corner = round(x * UNIT - small.width / 2), round(y * UNIT - small.height / 2)
    shadow = small.getchannel("A").filter(ImageFilter.GaussianBlur(1.6 * UNIT)).point(lambda a: int(a * 0.22))
    canvas.paste((0, 0, 0), (corner[0], corner[1] + round(2 * UNIT)), shadow)
    canvas.paste(small, corner, small)


def paint(rng: random.Random, scene: Scene) -> Image.Image:
    """Compose the scene at SIDE pixels, RGB. What the scene leaves open (place, size, tilt) varies."""
    canvas = ground(rng, scene.background)
    for index, (x, y, size) in enumerate(places(rng, scene)):
        second = index == 1 and scene.other >= 0
        thing, colour = (scene.other, scene.other_colour) if second else (scene.thing, scene.colour)
        picture = sprite(thing, colour, scene.style)
        if THINGS[thing].key in MIRRORED and rng.random() < 0.25:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        put(canvas, picture, x, y, size, rng.gauss(0, 2.5))
    return canvas


def main() -> None:
    """Write sheets of scenes and of every thing in some colours, to look at before training."""
    rng, columns, gap = random.Random(0), 16, SIDE + 2
    RUNS.mkdir(parents=True, exist_ok=True)
    scenes = [draw_scene(rng) for _ in range(columns * 8)]
    scenes += [Scene(t, (t * 5) % 13, 1, -1, NO_COLOUR, 10 if t % 2 else 4, t % 2) for t in ALL]
    sheet = Image.new("RGB", (columns * gap, -(-len(scenes) // columns) * gap))
    for index, scene in enumerate(scenes):
        sheet.paste(paint(rng, scene), (index % columns * gap, index // columns * gap))
    sheet.save(RUNS / "scenes.png")


if __name__ == "__main__":
    main()
