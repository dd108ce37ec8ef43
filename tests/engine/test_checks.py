"""Specs that cannot be done, each by its sentence; the fake and the real engine refuse alike."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from engine.api import Hires, InitImage, InvalidSpec, Reference, ReferenceKind, Variation
from engine.checks import check_spec
from engine.fake import SKETCH, FakeEngine
from tests.engine.specs import spec

MODELS = {"sketch": SKETCH}


def grey(width: int, height: int) -> bytes:
    """A PNG of that size."""
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "nope"}, "There is no model 'nope'; choose one of sketch."),
        ({"seeds": ()}, "A job needs at least one seed, one for each picture."),
        ({"seeds": (-1,)}, "Seeds must lie between 0 and 4294967295."),
        ({"seeds": (2**32,)}, "Seeds must lie between 0 and 4294967295."),
        ({"variation": Variation(-1, 0.5)}, "The variation seed must lie between 0 and 4294967295."),
        ({"width": 65}, "The width must be a multiple of 8 for sketch, not 65."),
        ({"height": 8}, "The height must lie between 32 and 128 pixels for sketch, not 8."),
        ({"steps": 0}, "The number of steps must lie between 1 and 150 for sketch, not 0."),
        ({"steps": 151}, "The number of steps must lie between 1 and 150 for sketch, not 151."),
        ({"guidance_scale": float("nan")}, "The guidance scale must lie between 0 and 100, not nan."),
        ({"sampler": "x"}, "sketch has no sampler 'x'; choose one of ddim, euler, euler a, dpm++ 2m."),
        ({"stop": 0.0}, "The share of steps to stop after must lie above 0 and at most 1, not 0."),
        (
            {"init": InitImage(grey(8, 8), 0.0)},
            "The strength of an image prompt must lie above 0 and at most 1, not 0.",
        ),
        ({"variation": Variation(1, 2.0)}, "The strength of a variation must lie between 0 and 1, not 2."),
        ({"hires": Hires(5, 0.5)}, "A picture can be enlarged 1 to 4 times, not 5."),
        ({"hires": Hires(float("nan"), 0.5)}, "A picture can be enlarged 1 to 4 times, not nan."),
        ({"hires": Hires(2, -1)}, "The strength of a second pass must lie between 0 and 1, not -1."),
        (
            {"init": InitImage(grey(8, 8), 1.0, grey(8, 9))},
            "The mask has 8x9 pixels and its picture 8x8; make them the same size.",
        ),
        (
            {"init": InitImage(b"?", 1.0)},
            "The picture to start from cannot be read; send it as PNG, JPEG or WebP.",
        ),
        (
            {"init": InitImage(b"?", 1.0, grey(8, 8))},
            "The picture to start from cannot be read; send it as PNG, JPEG or WebP.",
        ),
        (
            {"prompt": " AND ".join("abcdefghi")},
            "A prompt may join at most 8 parts with AND.",
        ),
        (
            {"prompt": "a[" + " AND b" * 8 + "::0.5]"},
            "A prompt may join at most 8 parts with AND.",
        ),
        (
            {"init": InitImage(grey(8, 8), 1.0, b"?")},
            "The mask cannot be read; send it as PNG, JPEG or WebP.",
        ),
        (
            {"init": InitImage(grey(8, 8), 1.0, grey(8, 8), feather=-1)},
            "A mask's edge is softened over 0 to 512 pixels, not -1.",
        ),
        (
            {"references": (Reference(grey(8, 8), ReferenceKind.STYLE),)},
            "sketch has no adapter for style references; leave them out.",
        ),
        (
            {"blend": (grey(8, 8),)},
            "A blend takes 2 to 5 pictures, not 1.",
        ),
        (
            {"blend": (grey(8, 8),) * 6},
            "A blend takes 2 to 5 pictures, not 6.",
        ),
        (
            {"blend": (grey(8, 8), b"?")},
            "Picture 2 of the blend cannot be read; send it as PNG, JPEG or WebP.",
        ),
        (
            {"blend": (grey(8, 8), grey(8, 9)), "init": InitImage(grey(8, 8), 1.0)},
            "A blend has no picture to start from; leave the picture out, or add it to the blend.",
        ),
        (
            {"loras": (("ink", 1.0),)},
            "sketch has no LoRA 'ink'; none fits it.",
        ),
    ],
)
def test_refused(changes: dict[str, Any], sentence: str) -> None:
    faulty = spec(**{"model": "sketch", **changes})
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(faulty, MODELS)
    assert str(refusal.value) == sentence


def test_all_faults_at_once() -> None:
    with pytest.raises(InvalidSpec, match=r"width.*steps.*sampler"):
        check_spec(spec(model="sketch", width=1, steps=0, sampler="x"), MODELS)


async def test_the_fake_refuses_alike() -> None:
    with pytest.raises(InvalidSpec, match="multiple of 8"):
        FakeEngine().submit(spec(model="sketch", width=65))


def test_a_second_pass_ends_where_the_positions_do() -> None:
    short = {"sketch": replace(SKETCH, reach=160)}
    check_spec(spec(model="sketch", width=64, height=80, hires=Hires(2, 0.5)), short)
    check_spec(spec(model="sketch", width=64, height=128, hires=Hires(2, 0)), short)
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(spec(model="sketch", width=64, height=80, hires=Hires(2.1, 0.5)), short)
    assert str(refusal.value) == "sketch cannot paint more than 160 pixels a side in a second pass."


def test_a_reference_must_be_a_picture() -> None:
    able = {"sketch": replace(SKETCH, references=tuple(ReferenceKind))}
    lent = [Reference(data, ReferenceKind.STYLE) for data in (grey(8, 8), b"?")]
    check_spec(spec(model="sketch", references=tuple(lent[:1])), able)
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(spec(model="sketch", references=tuple(lent)), able)
    assert str(refusal.value) == "A reference picture cannot be read; send it as PNG, JPEG or WebP."


def test_eight_parts_may_be_joined_and_more_where_and_is_a_word() -> None:
    check_spec(spec(model="sketch", prompt=" AND ".join("abcdefgh")), MODELS)
    plain = {"sketch": replace(SKETCH, prompt_weights=False)}
    check_spec(spec(model="sketch", prompt=" AND ".join("abcdefghi")), plain)


@pytest.mark.parametrize("steps", [0, -1])
def test_edits_without_steps_are_no_second_fault(steps: int) -> None:
    with pytest.raises(InvalidSpec, match=r"^The number of steps must lie .*\.$"):
        check_spec(spec(model="sketch", prompt="[a:b:2] AND c", steps=steps), MODELS)


def test_a_model_without_the_abilities_says_so() -> None:
    bare = {"sketch": replace(SKETCH, inpaint=False, hires=False, blend=False)}
    with pytest.raises(InvalidSpec, match=r"^sketch cannot mix pictures; leave them out\.$"):
        check_spec(spec(model="sketch", blend=(grey(8, 8), grey(8, 8))), bare)
    job = spec(model="sketch", init=InitImage(grey(8, 8), 1.0, grey(8, 8)), hires=Hires(2, 0.5))
    with pytest.raises(InvalidSpec) as refusal:
        check_spec(job, bare)
    assert str(refusal.value) == (
        "sketch cannot repaint a part of a picture; leave the mask out. "
        "sketch cannot paint a picture larger in a second pass."
    )
