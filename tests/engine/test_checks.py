"""Specs that cannot be done, each by its sentence; the fake and the real engine refuse alike."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api import InitImage, InvalidSpec, Variation
from engine.checks import check_spec
from engine.fake import SKETCH, FakeEngine
from tests.engine.specs import spec

MODELS = {"sketch": SKETCH}


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
            {"init": InitImage(b"", 0.0)},
            "The strength of an image prompt must lie above 0 and at most 1, not 0.",
        ),
        ({"variation": Variation(1, 2.0)}, "The strength of a variation must lie between 0 and 1, not 2."),
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
