"""Samplers by the names that people bring along, and what each of them is in diffusers."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import pytest
import torch

from engine import samplers, schedulers
from engine.samplers import FLOW_SAMPLERS, SAMPLERS, SCHEDULES, sampler_choice, sampler_name

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("DPM++ 2M Karras", "dpm++ 2m karras"),
        ("dpmpp_2m", "dpm++ 2m"),
        ("dpm++_2m", "dpm++ 2m"),
        ("DPM++2M", "dpm++ 2m"),
        ("dpmpp_2m_sde_gpu", "dpm++ 2m sde"),
        ("DPM++ 2M SDE Exponential", "dpm++ 2m sde exponential"),
        ("DPM++ 3M SDE Karras", "dpm++ 3m sde karras"),
        ("DPM++ SDE Karras", "dpm++ sde karras"),
        ("DPM++ 2S a Karras", "dpm++ 2s karras"),
        ("Euler a", "euler a"),
        ("EULER  A", "euler a"),
        ("k_euler_ancestral", "euler a"),
        ("EulerAncestralDiscreteScheduler", "euler a"),
        ("EulerDiscreteScheduler", "euler"),
        ("FlowMatchEulerDiscreteScheduler", "euler"),
        ("euler simple", "euler sgm uniform"),
        ("Euler SGM Uniform", "euler sgm uniform"),
        ("heun normal", "heun"),
        ("LMS Karras", "lms karras"),
        ("DPM2 a Karras", "dpm2 a karras"),
        ("dpm_2_ancestral", "dpm2 a"),
        ("KDPM2AncestralDiscreteScheduler", "dpm2 a"),
        ("DPMSolverMultistepScheduler", "dpm++ 2m"),
        ("DPMSolverSDEScheduler", "dpm++ sde"),
        ("uni_pc_bh2", "unipc"),
        ("UniPCMultistepScheduler", "unipc"),
        ("PLMS", "pndm"),
        ("DDIM", "ddim"),
        ("TCDScheduler", "tcd"),
        ("LCM", "lcm"),
        ("Restart", "restart"),
        ("karras", "karras"),
        ("", ""),
    ],
)
def test_spellings(typed: str, name: str) -> None:
    assert sampler_name(typed) == name


@pytest.mark.parametrize("name", [*SAMPLERS, *FLOW_SAMPLERS])
def test_a_name_is_its_own_spelling(name: str) -> None:
    assert sampler_name(name) == sampler_name(name.upper()) == name


def test_every_scheduler_s_own_name_is_understood() -> None:
    for table in (SAMPLERS, FLOW_SAMPLERS):
        for each in table.values():
            assert sampler_name(each.scheduler) in table


def test_the_table_names_each_sampler_once() -> None:
    assert len({(each.scheduler, str(each.settings)) for each in SAMPLERS.values()}) == len(SAMPLERS) > 70


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_it_is_in_diffusers(name: str) -> None:
    """As diffusers' own table of equivalents says (docs, "Schedulers"): class, spread of the steps, kind."""
    own = {**BETAS, "_class_name": "PNDMScheduler", "steps_offset": 1, "use_karras_sigmas": True}
    built = schedulers.build(name, own)
    assert type(built).__name__ == SAMPLERS[name].scheduler
    assert built.config.beta_start == 0.00085
    spread = next((end for end in SCHEDULES if name.endswith(f" {end}")), None)
    flags = {
        key: bool(built.config.get(key))
        for end in ("karras", "exponential", "beta")
        for key in SCHEDULES[end]
        if key in inspect.signature(type(built).__init__).parameters
    }
    assert [key for key, on in flags.items() if on] == [
        key for key in SCHEDULES.get(spread or "", {}) if key.startswith("use_")
    ]
    assert (built.config.get("timestep_spacing") == "trailing") == (spread == "sgm uniform")
    assert ("sde" in name.split()) == (built.config.get("algorithm_type") == "sde-dpmsolver++")


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", SAMPLERS)
def test_few_steps_are_enough_for_each(name: str, steps: int) -> None:
    """Whatever the folder says, also of steps that PNDM would take before its own."""
    built = schedulers.build(name, {**BETAS, "_class_name": "PNDMScheduler", "skip_prk_steps": False})
    built.set_timesteps(steps)
    assert len(built.timesteps) >= steps


@pytest.mark.parametrize(
    ("name", "steps", "pure"),
    [
        ("euler a sgm uniform", 3, False),
        ("dpm2 a sgm uniform", 3, False),
        ("dpm2 a sgm uniform", 3, True),
        ("dpm2 a karras", 2, True),
        ("dpm2 a beta", 25, True),
    ],
)
def test_noise_that_all_but_vanishes_in_one_step(name: str, steps: int, pure: bool) -> None:
    """As on cosine schedules, down from pure noise above all; what is all black is found to be black."""
    config = {"beta_schedule": "squaredcos_cap_v2", "rescale_betas_zero_snr": pure}
    built = schedulers.build(name, {**config, "timestep_spacing": "trailing"})
    stock = getattr(diffusers, type(built).__name__).from_config(built.config)
    for scheduler, ends in ((built, True), (stock, False)):
        scheduler.set_timesteps(steps)
        x = scheduler.init_noise_sigma * torch.ones(1, 1, 2, 2)
        for t in scheduler.timesteps:
            sigma = (x / scheduler.scale_model_input(x, t)).square().sub(1).sqrt()
            x = scheduler.step(x / sigma, t, x, generator=torch.Generator().manual_seed(0)).prev_sample
        assert torch.allclose(x, torch.zeros(1), atol=1e-2) == ends


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"_class_name": "DPMSolverMultistepScheduler"}, "dpm++ 2m"),
        ({"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True}, "dpm++ 2m karras"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, "euler"),
        ({"_class_name": "EulerDiscreteScheduler", "use_beta_sigmas": True}, "euler beta"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "euler"),
        ({"_class_name": "VQDiffusionScheduler"}, None),
    ],
)
def test_a_model_s_own_sampler_by_name(config: dict[str, Any], name: str | None) -> None:
    assert samplers.name_of(config) == name


def test_a_model_keeps_the_spacing_that_it_was_made_for() -> None:
    own = {**BETAS, "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "linspace"}
    assert schedulers.build("heun", own).config.timestep_spacing == "linspace"
    assert schedulers.build("Heun SGM Uniform", own).config.timestep_spacing == "trailing"


def test_the_choice_names_schedules_once() -> None:
    assert sampler_choice(("ddim", "euler a")) == "ddim, euler a"
    assert sampler_choice(("euler", "euler karras", "euler beta", "ddim")) == "euler, ddim (+ karras, beta)"
    assert sampler_choice(("euler karras",)) == "euler karras"
    assert len(sampler_choice(tuple(SAMPLERS))) < 250


def test_diffusers_has_all_of_them() -> None:
    for each in (*SAMPLERS.values(), *FLOW_SAMPLERS.values()):
        assert issubclass(getattr(diffusers, each.scheduler), diffusers.SchedulerMixin)
