"""Style profiles: what ``--style NAME`` puts around a prompt. A server may change these and add its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANIME = "anime"
"""The profile that ``--niji`` means where no model is named niji."""


@dataclass(frozen=True, slots=True)
class Style:
    """``guidance`` multiplies the model's guidance scale; ``model`` paints unless the prompt names one."""

    prefix: str = ""
    suffix: str = ""
    negative_prompt: str = ""
    guidance: float = 1.0
    model: str = ""
    loras: Mapping[str, float] = field(default_factory=dict)
    """Weights by name; those that a model does not have are left out for it."""


BUILT_IN: Mapping[str, Style] = {
    ANIME: Style(suffix="anime style, clean lines, vivid colors", negative_prompt="photo, realistic"),
    "photo": Style(suffix="photograph, natural light, sharp focus", negative_prompt="drawing, painting"),
    "cinematic": Style(suffix="film still, dramatic lighting, shallow depth of field", guidance=1.1),
    "watercolor": Style(suffix="watercolor painting on paper, soft washes", negative_prompt="photo"),
    "oil": Style(suffix="oil painting, visible brush strokes, canvas texture", negative_prompt="photo"),
    "ink": Style(suffix="black ink drawing, brush lines, white paper", negative_prompt="color, photo"),
    "pixel": Style(suffix="pixel art, limited palette, crisp pixels", negative_prompt="blurry, photo"),
    "comic": Style(suffix="comic book panel, bold outlines, halftone", negative_prompt="photo"),
    "cute": Style(suffix="cute, rounded shapes, soft pastel colors", guidance=0.9),
    "scenic": Style(suffix="wide scenery, rich background, atmospheric light"),
    "expressive": Style(suffix="expressive, dynamic pose, strong colors", guidance=1.15),
}
