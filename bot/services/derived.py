"""What a button makes of a picture: prompt, size and change of the derived job, and whether it can be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from bot.domain.change import Change, Layout
from bot.domain.flags import BY_NAME
from bot.domain.job import CHANGES, ENLARGING, PAINTS_FROM, VARIATIONS, Action, Job
from bot.domain.prompt import Prompt, quoted
from bot.domain.sentence import Sentence, say
from bot.errors import UserError
from bot.services import specs
from engine.api import ModelInfo

PAN = 0.5
"""Share of its side by which a pan lets a picture grow."""
NEW_GROUND = 0.8
"""Strength for what grows around a picture: it starts from the picture's edge, whose colours go on. From mere
noise a model paints its whole scene anew behind the old one, which then lies there like a stamp.
"""
STRENGTHS = {
    Action.VARIATION: specs.VARIATION_STRENGTH,
    Action.VARY_SUBTLE: 0.35,
    **dict.fromkeys(ENLARGING, 0.0),
    **{action: NEW_GROUND for action, change in CHANGES.items() if change.layout},
}
"""How far a job leaves its picture; what is marked is painted wholly anew."""
NO_MORE = say(
    "This picture cannot grow further that way: it would be more than four times as long as wide. "
    "Pan the other way, or use Make Square first."
)

SQUARE_ALREADY = say("This picture is square already; use Zoom Out to see more of it.")
UPSCALED_ALREADY = say(
    "This picture is upscaled already; go back to the one it was made from to upscale that another way."
)
NOTHING_TO_PAINT = say(
    "This zoom leaves nothing to paint; choose a larger one, up to 2, or another shape by `--ar`."
)


def strength(prompt: Prompt, action: Action) -> float:
    """``InitImage.strength`` of a job."""
    if action in PAINTS_FROM:
        return STRENGTHS.get(action, 1.0)
    return specs.input_strength(prompt, action)


def apply(
    action: Action, asked: Change | None, prompt: Prompt, parent: Job, model: ModelInfo
) -> tuple[Prompt, Change | None]:
    """Prompt and change of a job that starts from a picture of ``parent``; UserError where it cannot be.

    ``asked`` is what the button or its form said; the size is settled here.
    """
    change = asked or CHANGES.get(action) or Change()
    before = specs.painted_size(parent, model)
    if change.enlarge:
        if parent.change and parent.change.enlarge:
            raise UserError(UPSCALED_ALREADY)
        return prompt, replace(change, size=before)
    if change.layout in (None, Layout.CELLS, Layout.NAMED):
        sized = replace(change, size=_inherited(prompt, parent, model))
        return prompt, None if sized == Change() else sized
    size = _grown(change, before)
    painted = _fitting(size, model)
    if change.layout is Layout.SQUARE and before[0] == before[1]:
        raise UserError(SQUARE_ALREADY)
    if not BY_NAME["ar"].low <= size[0] / size[1] <= BY_NAME["ar"].high:
        raise UserError(NO_MORE)
    if change.layout is Layout.ZOOM and _margin(change.factor, before, size, painted) < 1:
        raise UserError(NOTHING_TO_PAINT)
    return _shaped(prompt, size), replace(change, size=painted)


def _margin(
    factor: float, before: tuple[int, int], size: tuple[float, float], painted: tuple[int, int]
) -> float:
    """Painted pixels of new ground that a zoom has on the sides where it has most: its canvas of ``size`` is
    cropped to the shape that the model paints.
    """
    scale = min(1.0, size[0] / before[0], size[1] / before[1]) / factor
    grain = max(painted[0] / size[0], painted[1] / size[1])
    return max((side - old * scale * grain) / 2 for side, old in zip(painted, before, strict=True))


def seen_shape(job: Job) -> tuple[int, int]:
    """Proportions of a job's pictures, without asking the model that rounds them."""
    if job.change and job.change.size:
        return job.change.size
    for name in ("size", "ar"):
        given = job.prompt.get(name)
        if isinstance(given, tuple):
            return int(given[0]), int(given[1])
    return 1, 1


def lacks(action: Action, change: Change | None, model: ModelInfo) -> Iterator[Sentence]:
    """Why the model cannot do what a button asks for; nothing where it can."""
    name = quoted(model.name)
    if action is Action.UPSCALE_CREATIVE and not model.hires:
        yield say(
            "The model {model} cannot paint a picture larger in a second pass, which Upscale (Creative) "
            "needs. Upscale (Subtle) works with it; or paint the prompt with another `--model` and upscale "
            "that.",
            model=name,
        )
    part = action not in ENLARGING and change is not None and change.layout is not None
    if ((part and not model.inpaint) or action in VARIATIONS) and not model.image_to_image:
        yield say(
            "The model {model} cannot start from a picture, which this button needs. Re-roll paints other "
            "pictures of the prompt; or paint it with another `--model` first.",
            model=name,
        )
    elif part and not model.inpaint:
        yield say(
            "The model {model} cannot repaint a part of a picture, which this button needs. Vary (Subtle) "
            "and Vary (Strong) paint all of it anew; or paint the prompt with another `--model` first.",
            model=name,
        )


def no_naming(reason: str) -> Sentence:
    """Where nothing looks for a thing by its name; ``reason`` is the engine's."""
    return say(
        "Regions cannot be named here; choose numbered fields instead. For the operator: {reason}",
        reason=reason,
    )


def _inherited(prompt: Prompt, parent: Job, model: ModelInfo) -> tuple[int, int] | None:
    """A size that the parent has from a button stays, unless the prompt was given another shape."""
    kept = all(prompt.get(name) == parent.prompt.get(name) for name in ("ar", "size"))
    size = parent.change.size if parent.change and kept else None
    return None if size == specs.size_of(prompt, model) else size


def _grown(change: Change, before: tuple[int, int]) -> tuple[float, float]:
    width, height = before
    if change.layout in (Layout.LEFT, Layout.RIGHT):
        return width * (1 + PAN), height
    if change.layout in (Layout.UP, Layout.DOWN):
        return width, height * (1 + PAN)
    if change.layout is Layout.SQUARE:
        return max(before), max(before)
    if change.ratio is None:
        return width, height
    shape = math.sqrt(change.ratio[0] / change.ratio[1] * height / width)
    return width * shape, height / shape


def _fitting(size: tuple[float, float], model: ModelInfo) -> tuple[int, int]:
    """The whole of it smaller, where a side is longer than the model can paint."""
    scale = min(1.0, model.max_size / max(size))
    width, height = (specs.on_raster(side * scale, model) for side in size)
    return width, height


def _shaped(prompt: Prompt, size: tuple[float, float]) -> Prompt:
    """With the shape as ``--ar``, so that the message and a re-typed prompt say what is there."""
    width, height = (round(side) for side in size)
    shared = math.gcd(width, height)
    ratio = (width // shared, height // shared)
    return prompt.with_values(ar=None if ratio == (1, 1) else ratio, size=None)
