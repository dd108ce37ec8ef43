"""A diffusers scheduler for a sampler's name, one for each job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers

from engine.samplers import (
    FLOW,
    FLOW_EULER,
    FLOW_SAMPLERS,
    PLAIN,
    Sampler,
    prediction_of,
    sampler_name,
    table_of,
)


def build(name: str, config: Mapping[str, Any], shift: float | None = None) -> Any:
    """A fresh diffusers scheduler for ``name``, on the model's own scheduler configuration.

    Latents are not bounded by 1: where the configuration does not say, they are not clipped. ``shift`` is
    what shifting by size comes to, where the configuration asks for that and the scheduler knows no such.
    """
    if prediction_of(config) == FLOW:
        return _flow(FLOW_SAMPLERS[sampler_name(name)], config, shift)
    sampler = table_of(prediction_of(config))[sampler_name(name)]
    return getattr(diffusers, sampler.scheduler).from_config(
        {"clip_sample": False, **config}, **sampler.settings
    )


def _flow(sampler: Sampler, config: Mapping[str, Any], shift: float | None) -> Any:
    settings = {**PLAIN, **sampler.settings}
    fixed = config.get("shift", config.get("flow_shift", 1.0)) if shift is None else shift
    if sampler.scheduler != FLOW_EULER:
        settings |= {"shift": fixed, "flow_shift": fixed, "use_dynamic_shifting": False}
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **settings)
