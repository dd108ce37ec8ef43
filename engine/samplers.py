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
"""The velocity from picture to noise (Lipman et al. 2022, arXiv:2210.02747)."""
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

_SPACINGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
_FLOW_EULER = "FlowMatchEulerDiscreteScheduler"
_FLOW_SOLVER = {"prediction_type": FLOW, "use_flow_sigmas": True}
_FLOWS = frozenset({FLOW})
FLOW_SAMPLERS: Mapping[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("euler", _FLOW_EULER, {}, _FLOWS),
        Sampler("euler karras", _FLOW_EULER, _KARRAS, _FLOWS),
        Sampler("euler exponential", _FLOW_EULER, {"use_exponential_sigmas": True}, _FLOWS),
        Sampler("euler beta", _FLOW_EULER, {"use_beta_sigmas": True}, _FLOWS),
        Sampler("heun", "FlowMatchHeunDiscreteScheduler", {}, _FLOWS),
        Sampler("dpm++ 2m", _DPM, _FLOW_SOLVER, _FLOWS),
        Sampler("dpm++ 2m sde", _DPM, {**_FLOW_SOLVER, **_SDE}, _FLOWS),
        Sampler("unipc", "UniPCMultistepScheduler", _FLOW_SOLVER, _FLOWS),
        Sampler("lcm", _FLOW_EULER, {"stochastic_sampling": True}, _FLOWS),
    )
}
"""Those of models that were trained by flow matching; the names mean the same there."""


def prediction_of(config: Mapping[str, Any]) -> str:
    """What a model predicts whose scheduler has this configuration."""
    flows = "FlowMatch" in str(config.get("_class_name")) or config.get("use_flow_sigmas")
    return FLOW if flows else str(config.get("prediction_type", EPSILON))


def samplers_for(prediction_type: str) -> tuple[str, ...]:
    """Names of the samplers that can read a model's ``prediction_type``."""
    table = FLOW_SAMPLERS if prediction_type == FLOW else SAMPLERS
    return tuple(name for name, sampler in table.items() if prediction_type in sampler.predictions)


def name_of(config: Mapping[str, Any]) -> str | None:
    """The sampler that a model's own scheduler configuration amounts to, or None when it has no name here."""
    table = FLOW_SAMPLERS if prediction_of(config) == FLOW else SAMPLERS
    matches = [
        sampler
        for sampler in table.values()
        if sampler.scheduler == config.get("_class_name")
        and all(config.get(key) == value for key, value in sampler.settings.items())
    ]
    return max(matches, key=lambda sampler: len(sampler.settings)).name if matches else None


def build(name: str, config: Mapping[str, Any], shift: float | None = None) -> Any:
    """A fresh diffusers scheduler for ``name``, on the model's own scheduler configuration.

    Latents are not bounded by 1: where the configuration does not say, they are not clipped. ``shift`` is
    what shifting by size comes to, where the configuration asks for that and the scheduler knows no such.
    """
    import diffusers

    if prediction_of(config) == FLOW:
        return _flow(FLOW_SAMPLERS[name], config, shift)
    sampler = SAMPLERS[name]
    return getattr(diffusers, sampler.scheduler).from_config(
        {"clip_sample": False, **config}, **sampler.settings
    )


def _flow(sampler: Sampler, config: Mapping[str, Any], shift: float | None) -> Any:
    import diffusers

    settings = {**dict.fromkeys(_SPACINGS, False), **sampler.settings}
    fixed = config.get("shift", config.get("flow_shift", 1.0)) if shift is None else shift
    if sampler.scheduler != _FLOW_EULER:
        settings |= {"shift": fixed, "flow_shift": fixed, "use_dynamic_shifting": False}
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **settings)
