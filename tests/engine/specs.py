"""Specs for tests, with everything that a test does not care for filled in."""

from __future__ import annotations

from typing import Any

from engine.api import GenerationSpec

SIZES = {"classic": 64, "velocity": 64, "sample": 32, "sketchy": 32}


def spec(job_id: str = "job", model: str = "classic", **changes: Any) -> GenerationSpec:
    """A small job: two images, four steps of DDIM."""
    values: dict[str, Any] = {
        "prompt": "a red apple",
        "seeds": (11, 12),
        "width": SIZES.get(model, 64),
        "height": SIZES.get(model, 64),
        "steps": 4,
        "guidance_scale": 5.0,
        "sampler": "ddim",
        "user": "ada",
    }
    return GenerationSpec(job_id=job_id, model=model, **{**values, **changes})
