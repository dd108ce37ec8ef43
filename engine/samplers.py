"""Samplers by the names people know, each a diffusers scheduler and its settings. Torch-free.

From here `engine.schedulers` builds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

DEFAULT = "default"
"""The model's own scheduler as it is, where it has no name here."""
EPSILON = "epsilon"
VELOCITY = "v_prediction"
SAMPLE = "sample"
FLOW = "flow_prediction"
"""The velocity from picture to noise (Lipman et al. 2022, arXiv:2210.02747)."""
EDM = "edm"
"""Scaled by the noise level (Karras et al. 2022, arXiv:2206.00364), as Playground v2.5's."""
_ALL = frozenset({EPSILON, VELOCITY, SAMPLE})
_NO_SAMPLE = frozenset({EPSILON, VELOCITY})


SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "sgm uniform": {"timestep_spacing": "trailing"},
}
"""How the steps are spread, by the names people write behind a sampler's, and what sets it."""
_SIGMAS = ("karras", "exponential", "beta")
_SPACED = (*_SIGMAS, "sgm uniform")
PLAIN: Mapping[str, Any] = {key: False for name in _SIGMAS for key in SCHEDULES[name]}


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class, what is set beside the model's own configuration, and what it can read."""

    name: str
    scheduler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    predictions: frozenset[str] = _ALL
    schedules: tuple[str, ...] = ()
    """Those of :data:`SCHEDULES` that it knows."""

    def spread(self) -> Iterator[Sampler]:
        """Itself, and itself with each of its schedules."""
        plain = PLAIN if "karras" in self.schedules else {}
        yield replace(self, settings={**self.settings, **plain}, schedules=())
        for name in self.schedules:
            settings = {**self.settings, **plain, **SCHEDULES[name]}
            yield replace(self, name=f"{self.name} {name}", settings=settings, schedules=())


_SDE = {"algorithm_type": "sde-dpmsolver++"}
_DPM, _SINGLE = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
_BASES = (
    Sampler("ddim", "DDIMScheduler", schedules=("sgm uniform",)),
    Sampler("ddpm", "DDPMScheduler"),
    # PLMS; with the Runge-Kutta steps before it, diffusers fails at fewer than four.
    Sampler("pndm", "PNDMScheduler", {"skip_prk_steps": True}, predictions=_NO_SAMPLE),
    Sampler("euler", "EulerDiscreteScheduler", schedules=_SPACED),
    Sampler("euler a", "EulerAncestralDiscreteScheduler", {}, _NO_SAMPLE, ("sgm uniform",)),
    Sampler("heun", "HeunDiscreteScheduler", {}, _NO_SAMPLE, _SPACED),
    Sampler("dpm2", "KDPM2DiscreteScheduler", {}, _NO_SAMPLE, _SPACED),
    Sampler("dpm2 a", "KDPM2AncestralDiscreteScheduler", {}, _NO_SAMPLE, _SPACED),
    Sampler("lms", "LMSDiscreteScheduler", schedules=_SPACED),
    Sampler("dpm++ 2m", _DPM, schedules=_SPACED),
    Sampler("dpm++ 2m sde", _DPM, _SDE, schedules=_SPACED),
    Sampler("dpm++ 3m", _DPM, {"solver_order": 3}, schedules=_SPACED),
    Sampler("dpm++ 3m sde", _DPM, {"solver_order": 3, **_SDE}, schedules=_SPACED),
    Sampler("dpm++ 2s", _SINGLE, schedules=_SIGMAS),
    Sampler("dpm++ sde", _SINGLE, _SDE, schedules=_SIGMAS),
    Sampler("deis", "DEISMultistepScheduler", schedules=_SPACED),
    Sampler("unipc", "UniPCMultistepScheduler", schedules=_SPACED),
    Sampler("sa-solver", "SASolverScheduler", {"algorithm_type": "data_prediction"}, schedules=_SPACED),
    Sampler("lcm", "LCMScheduler"),
    Sampler("tcd", "TCDScheduler"),
)
SAMPLERS: Mapping[str, Sampler] = {each.name: each for base in _BASES for each in base.spread()}

FLOW_EULER = "FlowMatchEulerDiscreteScheduler"
_FLOW_SOLVER = {"prediction_type": FLOW, "use_flow_sigmas": True}
_FLOWS = frozenset({FLOW})
_FLOW_BASES = (
    Sampler("euler", FLOW_EULER, {}, _FLOWS, _SIGMAS),
    Sampler("heun", "FlowMatchHeunDiscreteScheduler", {}, _FLOWS),
    Sampler("dpm++ 2m", _DPM, {**PLAIN, **_FLOW_SOLVER}, _FLOWS),
    Sampler("dpm++ 2m sde", _DPM, {**PLAIN, **_FLOW_SOLVER, **_SDE}, _FLOWS),
    Sampler("unipc", "UniPCMultistepScheduler", {**PLAIN, **_FLOW_SOLVER}, _FLOWS),
    Sampler("lcm", FLOW_EULER, {**PLAIN, "stochastic_sampling": True}, _FLOWS),
)
FLOW_SAMPLERS: Mapping[str, Sampler] = {each.name: each for base in _FLOW_BASES for each in base.spread()}
"""Those of models that were trained by flow matching; the names mean the same there."""

_EDMS = frozenset({EDM})
_EDM_DPM = "EDMDPMSolverMultistepScheduler"
_EDM_BASES = (
    Sampler("euler", "EDMEulerScheduler", {}, _EDMS),
    Sampler("dpm++ 2m", _EDM_DPM, {"algorithm_type": "dpmsolver++"}, _EDMS),
    Sampler("dpm++ 2m sde", _EDM_DPM, _SDE, _EDMS),
)
_TABLES: Mapping[str, Mapping[str, Sampler]] = {
    FLOW: FLOW_SAMPLERS,
    EDM: {base.name: base for base in _EDM_BASES},
}

_SPELLINGS: Mapping[str, str] = {
    "eulerancestral": "euler a",
    "plms": "pndm",
    "dpm2ancestral": "dpm2 a",
    "kdpm2": "dpm2",
    "kdpm2ancestral": "dpm2 a",
    "dpmpp2sa": "dpm++ 2s",
    "dpmpp2sancestral": "dpm++ 2s",
    "dpmsolvermultistep": "dpm++ 2m",
    "dpmsolversinglestep": "dpm++ 2s",
    "dpmsolversde": "dpm++ sde",
    "deismultistep": "deis",
    "unipcmultistep": "unipc",
    "unipcbh2": "unipc",
    "flowmatcheuler": "euler",
    "flowmatchheun": "heun",
    "flowmatchlcm": "lcm",
    "ddimv3": "ddim",
}
"""What other programs call a sampler, as :func:`_bare` leaves it; ``dpm++ 2s a`` is what diffusers says."""
_SPREADS: Mapping[str, str] = {
    "sgmuniform": "sgm uniform",
    "trailing": "sgm uniform",
    "simple": "sgm uniform",
    "normal": "",
    "automatic": "",
    **{name: name for name in _SIGMAS},
}
_TAILS = ("scheduler", "sampler", "discrete", "gpu")


def sampler_name(typed: str) -> str:
    """``DPM++ 2M Karras``, ``dpmpp_2m_karras``, ``EulerAncestralDiscreteScheduler`` ... by the name in
    :data:`SAMPLERS`; what is none of them in lowercase, as it was typed.
    """
    bare = _bare(typed)
    tail = next((tail for tail in _SPREADS if bare.endswith(tail)), "")
    base = _known(_bare(bare.removesuffix(tail)))
    if base is None:
        return " ".join(typed.lower().split())
    return f"{base} {_SPREADS[tail]}" if tail and _SPREADS[tail] else base


def sampler_choice(samplers: Sequence[str]) -> str:
    """Names to choose from, in one line: schedules are named once, not behind every sampler."""
    ends = {name: next((end for end in SCHEDULES if name.endswith(f" {end}")), "") for name in samplers}
    bases = [name for name, end in ends.items() if not end or name.removesuffix(f" {end}") not in ends]
    spread = ", ".join(end for end in SCHEDULES if end in ends.values())
    return ", ".join(bases) + (f" (+ {spread})" if len(bases) < len(ends) else "")


def _bare(typed: str) -> str:
    letters = re.sub(r"^k[_ ]", "", typed.lower().strip()).replace("+", "p")
    bare = re.sub(r"[^a-z0-9]", "", letters)
    while tail := next((tail for tail in _TAILS if bare.endswith(tail) and bare != tail), ""):
        bare = bare.removesuffix(tail)
    return bare


def _known(bare: str) -> str | None:
    own = {_bare(base.name): base.name for base in _BASES}
    return own.get(bare) or _SPELLINGS.get(bare)


def prediction_of(config: Mapping[str, Any]) -> str:
    """What a model predicts whose scheduler has this configuration."""
    kind = str(config.get("_class_name"))
    if kind.startswith("EDM"):
        return EDM
    flows = "FlowMatch" in kind or config.get("use_flow_sigmas")
    return FLOW if flows else str(config.get("prediction_type", EPSILON))


def samplers_for(prediction_type: str) -> tuple[str, ...]:
    """Names of the samplers that can read a model's ``prediction_type``."""
    table = table_of(prediction_type)
    return tuple(name for name, sampler in table.items() if prediction_type in sampler.predictions)


def table_of(prediction_type: str) -> Mapping[str, Sampler]:
    """What the names of samplers mean where this is predicted."""
    return _TABLES.get(prediction_type, SAMPLERS)


def name_of(config: Mapping[str, Any]) -> str | None:
    """The sampler that a model's own scheduler configuration amounts to, or None when it has no name here."""
    matches = [
        sampler
        for sampler in table_of(prediction_of(config)).values()
        if sampler.scheduler == config.get("_class_name")
        # What a sampler does not set stays the model's own, and so the spacing of its steps.
        and "timestep_spacing" not in sampler.settings
        and all((config.get(key) or False) == value for key, value in sampler.settings.items())
    ]
    return max(matches, key=lambda sampler: len(sampler.settings)).name if matches else None
