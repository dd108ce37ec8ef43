"""Samplers by the names people know, each a diffusers scheduler and its settings. Torch-free until built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT = "default"
"""The model's own scheduler as it is, where it has no name here."""
EPSILON = "epsilon"
VELOCITY = "v_prediction"
SAMPLE = "sample"
FLOW = "flow_prediction"
"""The velocity from picture to noise along a straight line."""
_ALL = frozenset({EPSILON, VELOCITY, SAMPLE})
_NO_SAMPLE = frozenset({EPSILON, VELOCITY})


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what is set beside the model's own configuration, and what it can read."""

    name: str
    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: frozenset[str] = _ALL


_KARRAS = {"use_karras_sigmas": True}
_SDE = {"algorithm_type": "sde-dpmsolver++"}
_DPM = "DPMSolverMultistepScheduler"

SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("ddim", "DDIMScheduler"),
        Sampler("ddpm", "DDPMScheduler"),
        Sampler("pndm", "PNDMScheduler", predictions=_NO_SAMPLE),
        Sampler("euler", "EulerDiscreteScheduler"),
        Sampler("euler karras", "EulerDiscreteScheduler", _KARRAS),
        Sampler("euler a", "EulerAncestralDiscreteScheduler", predictions=_NO_SAMPLE),
        Sampler("heun", "HeunDiscreteScheduler", predictions=_NO_SAMPLE),
        Sampler("dpm2", "KDPM2DiscreteScheduler", predictions=_NO_SAMPLE),
        Sampler("dpm2 a", "KDPM2AncestralDiscreteScheduler", predictions=_NO_SAMPLE),
        Sampler("dpm++ 2m", _DPM),
        Sampler("dpm++ 2m karras", _DPM, _KARRAS),
        Sampler("dpm++ 2m sde", _DPM, _SDE),
        Sampler("dpm++ 2m sde karras", _DPM, {**_SDE, **_KARRAS}),
        Sampler("dpm++ 3m", _DPM, {"solver_order": 3}),
        Sampler("dpm++ 2s", "DPMSolverSinglestepScheduler"),
        Sampler("deis", "DEISMultistepScheduler"),
        Sampler("unipc", "UniPCMultistepScheduler"),
        Sampler("lcm", "LCMScheduler"),
    )
}


def prediction_of(config: Mapping[str, Any]) -> str:
    """What a model predicts whose scheduler has this configuration."""
    flows = "FlowMatch" in str(config.get("_class_name")) or config.get("use_flow_sigmas")
    return FLOW if flows else str(config.get("prediction_type", EPSILON))


def samplers_for(prediction_type: str) -> tuple[str, ...]:
    """Names of the samplers that can read a model's ``prediction_type``."""
    return tuple(name for name, sampler in SAMPLERS.items() if prediction_type in sampler.predictions)


def name_of(config: Mapping[str, Any]) -> str | None:
    """The sampler that a model's own scheduler configuration amounts to, or None when it has no name here."""
    matches = [
        sampler
        for sampler in SAMPLERS.values()
        if sampler.scheduler == config.get("_class_name")
        and all(config.get(key) == value for key, value in sampler.settings.items())
    ]
    return max(matches, key=lambda sampler: len(sampler.settings)).name if matches else None


def build(name: str, config: Mapping[str, Any]) -> Any:
    """A fresh diffusers scheduler for ``name``, on the model's own scheduler configuration.

    Latents are not bounded by 1: where the configuration does not say, they are not clipped.
    """
    import diffusers

    sampler = SAMPLERS[name]
    return getattr(diffusers, sampler.scheduler).from_config(
        {"clip_sample": False, **config}, **sampler.settings
    )
