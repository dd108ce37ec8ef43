"""What the embedded model paints for twenty prompts, against what was asked for: outlines and colours.

Outlines are compared with those of the drawings it learned from: no colour talks a blob into a thing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import stages
from engine.api import GenerationSpec
from engine.models.base import ModelFamily
from engine.models.registry import Registry
from engine.profile import ModelSource
from training import measure
from training.things import COLOUR_INDEX, THING_INDEX

OUTLINES = Path(__file__).parent / "outlines.npz"
PROMPTS = (
    ("a red apple on a white background", "apple", "red", "white"),
    ("a pink heart on a blue background", "heart", "pink", "blue"),
    ("a yellow star, purple background", "star", "yellow", "purple"),
    ("a yellow moon on a blue background", "moon", "yellow", "blue"),
    ("a blue rocket on a yellow background", "rocket", "blue", "yellow"),
    ("a green cactus on a pink background", "cactus", "green", "pink"),
    ("a red balloon on a gray background", "balloon", "red", "gray"),
    ("a purple umbrella on a white background", "umbrella", "purple", "white"),
    ("a blue fish on an orange background", "fish", "blue", "orange"),
    ("a red car on a cyan background", "car", "red", "cyan"),
    ("一根黄色的香蕉，紫色背景", "banana", "yellow", "purple"),
    ("一根橙色的胡萝卜，蓝色背景", "carrot", "orange", "blue"),
    ("一棵绿色的树，白色背景", "tree", "green", "white"),
    ("一个红色的蘑菇，绿色背景", "mushroom", "red", "green"),
    ("一个白色的鬼，黑色背景", "ghost", "white", "black"),
    ("一座红色的房子，绿色背景", "house", "red", "green"),
    ("一朵白色的云，蓝色背景", "cloud", "white", "blue"),
    ("一个蓝色的三角形，白色背景", "triangle", "blue", "white"),
    ("一只绿色的蝴蝶，粉色背景", "butterfly", "green", "pink"),
    ("一颗绿色的草莓，紫色背景", "strawberry", "green", "purple"),
)
RIGHT_OUTLINES, RIGHT_COLOURS = 17, 18
"""Of twenty, what the model must reach and each of the broken ones must miss."""


@dataclass(frozen=True)
class Score:
    """How many of the prompts show the outline (among the five likeliest things) and both colours."""

    outlines: int
    colours: int


@pytest.fixture
def family(sketch: Path) -> ModelFamily:
    registry = Registry({"sketch": ModelSource("sketch", sketch)})
    return registry.load("sketch", torch.device("cpu"), torch.float32)


def paint(family: ModelFamily) -> list[measure.Floats]:
    """A picture (64, 64, 3) in 0..1 of every prompt, painted together and averaged down."""
    info = family.profile.info
    side = info.native_size
    spec = GenerationSpec("", "sketch", "", (7,), side, side, info.steps, info.guidance_scale, info.sampler)
    specs = [replace(spec, job_id=prompt, prompt=prompt) for prompt, *_ in PROMPTS]
    rows = [stages.prepare(family, one, one.seeds) for one in specs]
    batcher = stages.Batcher()
    while not rows[0].done:
        for part, prediction in zip(rows, batcher.predict(rows, side), strict=True):
            stages.advance(part, prediction, want_clean=False)
    pictures = (family.decode(part.latents, False)[0] for part in rows)
    return list(measure.reduced(np.stack([picture.permute(1, 2, 0).numpy() for picture in pictures])))


def judge(pictures: Sequence[measure.Floats]) -> Score:
    known = np.load(OUTLINES)["outlines"].astype(np.float32)
    seen = np.stack([measure.silhouette(picture) for picture in pictures])
    near = measure.overlap(seen, known).reshape(len(pictures), len(THING_INDEX), -1).max(-1)
    likeliest = (-near).argsort(1)[:, :5]
    shapes = [THING_INDEX[thing] in row for row, (_, thing, *_) in zip(likeliest, PROMPTS, strict=True)]
    colours = [
        all(measure.has_colours(picture, COLOUR_INDEX[colour], COLOUR_INDEX[ground]))
        for picture, (*_, colour, ground) in zip(pictures, PROMPTS, strict=True)
    ]
    return Score(sum(shapes), sum(colours))


def test_twenty_prompts_show_what_they_say(family: ModelFamily) -> None:
    score = judge(paint(family))
    assert score.outlines >= RIGHT_OUTLINES
    assert score.colours >= RIGHT_COLOURS


def deaf(family: Any) -> None:
    """A text encoder that hears the same in every prompt."""
    condition = family.condition
    family.condition = lambda spec: condition(replace(spec, prompt="a picture"))


def confused(family: Any) -> None:
    """A scheduler that takes the velocity for the noise."""
    scheduler = family.scheduler

    def wrong(spec: GenerationSpec) -> Any:
        made = scheduler(spec)
        made.register_to_config(prediction_type="epsilon")
        return made

    family.scheduler = wrong


@pytest.mark.parametrize("breaks", [deaf, confused])
def test_a_broken_model_is_seen(family: ModelFamily, breaks: Callable[[Any], None]) -> None:
    breaks(family)
    score = judge(paint(family))
    assert score.outlines < RIGHT_OUTLINES
    assert score.colours < RIGHT_COLOURS


def test_swapped_rows_are_seen(family: ModelFamily) -> None:
    pictures = paint(family)
    score = judge([*pictures[1:], pictures[0]])
    assert score.outlines < RIGHT_OUTLINES
    assert score.colours < RIGHT_COLOURS
