"""A diffusers scheduler for a sampler's name, one for each job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
import torch

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


class EulerAncestralDiscreteScheduler(diffusers.EulerAncestralDiscreteScheduler):  # type: ignore[misc]
    """Where a sigma is thousands of times the next, as with a step or three down from pure noise, the root
    that its step takes is of less than nothing in diffusers' single precision (k-diffusion bounds it).
    """

    sigmas: torch.Tensor

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        self.sigmas = self.sigmas.double()


class KDPM2AncestralDiscreteScheduler(diffusers.KDPM2AncestralDiscreteScheduler):  # type: ignore[misc]
    """The same root is taken here: what it comes to in exact numbers, where single precision loses it.

    To go down to is next² / sigma, and half of the way there, by logarithms, is next itself.
    """

    def set_timesteps(self, *args: Any, **options: Any) -> None:
        super().set_timesteps(*args, **options)
        following = torch.cat([self.sigmas[2:], torch.zeros(2)])
        lost = (following > 0) & ~(self.sigmas_down.cpu() > 0)
        self.sigmas_down[lost] = (following**2 / self.sigmas)[lost].to(self.sigmas_down)
        self.sigmas_interpol[lost] = following[lost].to(self.sigmas_interpol)
        between = 2 * lost[:-2:2].nonzero() + 1
        self.timesteps[between] = self.timesteps[between + 1]


_OWN = {kind.__name__: kind for kind in (EulerAncestralDiscreteScheduler, KDPM2AncestralDiscreteScheduler)}


def build(name: str, config: Mapping[str, Any], shift: float | None = None) -> Any:
    """A fresh diffusers scheduler for ``name``, on the model's own scheduler configuration.

    Latents are not bounded by 1: where the configuration does not say, they are not clipped. ``shift`` is
    what shifting by size comes to, where the configuration asks for that and the scheduler knows no such.
    """
    if prediction_of(config) == FLOW:
        return _flow(FLOW_SAMPLERS[sampler_name(name)], config, shift)
    sampler = table_of(prediction_of(config))[sampler_name(name)]
    kind = _OWN.get(sampler.scheduler) or getattr(diffusers, sampler.scheduler)
    return kind.from_config({"clip_sample": False, **config}, **sampler.settings)


def _flow(sampler: Sampler, config: Mapping[str, Any], shift: float | None) -> Any:
    settings = {**PLAIN, **sampler.settings}
    fixed = config.get("shift", config.get("flow_shift", 1.0)) if shift is None else shift
    if sampler.scheduler != FLOW_EULER:
        settings |= {"shift": fixed, "flow_shift": fixed, "use_dynamic_shifting": False}
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **settings)
