"""The reference of the families trained by flow matching: the stock pipeline, one image at a time, alone."""

from __future__ import annotations

import functools
import io
import json
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

from engine.api import GenerationSpec
from engine.profile import TRUE_CFG_SCALE

_SOLVER = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
SCHEDULERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "euler karras": ("FlowMatchEulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler exponential": ("FlowMatchEulerDiscreteScheduler", {"use_exponential_sigmas": True}),
    "euler beta": ("FlowMatchEulerDiscreteScheduler", {"use_beta_sigmas": True}),
    "lcm": ("FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": True}),
    "heun": ("FlowMatchHeunDiscreteScheduler", {}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", _SOLVER),
    "dpm++ 2m sde": ("DPMSolverMultistepScheduler", {**_SOLVER, "algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", _SOLVER),
}
_EULER = ("euler", "euler karras", "euler exponential", "euler beta")
SAMPLERS = {
    "sd3": tuple(SCHEDULERS),
    "flux": (*_EULER, "dpm++ 2m", "unipc"),
    "schnell": _EULER,
    "z-image": (*_EULER, "lcm"),
    "qwen-image": _EULER,
    "cogview4": ("euler", "lcm"),
}
"""Those that the stock pipeline takes; with others its call fails. The noise of a sampler it draws from no
seed, and, where latents are packed, in another order.
"""
SHORTEST = {"qwen-image": 2}
"""Steps below which a stock pipeline paints no numbers."""
KINDS = {
    "sd3": "StableDiffusion3",
    "medium": "StableDiffusion3",
    "flux": "Flux",
    "schnell": "Flux",
    "z-image": "ZImage",
    "qwen-image": "QwenImage",
    "cogview4": "CogView4",
}


class FlowStock:
    """Runs specs through diffusers, with none of the engine's code."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._pipeline = cache(self._load)

    def images(self, spec: GenerationSpec, **given: Any) -> torch.Tensor:
        """(n, 3, H, W) in [0, 1]; what is ``given`` goes to the pipeline."""
        return torch.cat([self._image(spec, seed, "pt", **given) for seed in spec.seeds])

    def latents(self, spec: GenerationSpec) -> torch.Tensor:
        """(n, C, h, w), before decoding, packed where the pipeline packs them."""
        return torch.cat([self._image(spec, seed, "latent") for seed in spec.seeds])

    def pipeline(self, spec: GenerationSpec) -> Any:
        """The one that paints ``spec``."""
        masked = spec.init is not None and spec.init.mask is not None
        return self._pipeline(spec.model, "Inpaint" if masked else "Img2Img" if spec.init else "")

    def _image(self, spec: GenerationSpec, seed: int, output: str, **given: Any) -> torch.Tensor:
        pipeline = self.pipeline(spec)
        generator = torch.Generator().manual_seed(seed)
        pipeline.scheduler = _scheduler(spec.sampler, pipeline.own, generator)
        result: torch.Tensor = pipeline(
            spec.prompt,
            **_guidance(spec),
            **_pictures(spec),
            num_inference_steps=spec.steps,
            width=spec.width,
            height=spec.height,
            generator=generator,
            output_type=output,
            **given,
        ).images
        return result

    def _load(self, model: str, task: str) -> Any:
        kind = getattr(diffusers, f"{KINDS[model]}{task}Pipeline")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            folder = self._folder(model)
            index = json.loads((folder / "model_index.json").read_text())
            missing = {name: None for name, value in index.items() if value == [None, None]}
            pipeline = kind.from_pretrained(folder, low_cpu_mem_usage=False, **missing)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.own = dict(pipeline.scheduler.config)
        return pipeline


def _scheduler(name: str, own: Mapping[str, Any], generator: torch.Generator) -> Any:
    kind, settings = SCHEDULERS[name]
    if "use_flow_sigmas" in settings:
        settings = {**settings, "flow_shift": own["shift"]}
    scheduler = getattr(diffusers, kind).from_config({**own, **settings})
    if name in ("lcm", "dpm++ 2m sde"):
        # These pipelines draw a sampler's noise from nowhere in particular.
        scheduler.step = functools.partial(scheduler.step, generator=[generator])
    return scheduler


def _guidance(spec: GenerationSpec) -> dict[str, Any]:
    """By the arguments that mean it in each pipeline."""
    if spec.model == "qwen-image":
        return {"true_cfg_scale": spec.guidance_scale, "negative_prompt": spec.negative_prompt}
    told: dict[str, Any] = {"negative_prompt": spec.negative_prompt or None}
    if spec.model == "flux":
        return {**told, "guidance_scale": spec.guidance_scale, "true_cfg_scale": TRUE_CFG_SCALE}
    if spec.model == "schnell":
        true = spec.guidance_scale if spec.guidance_scale > 1 else TRUE_CFG_SCALE
        return {**told, "true_cfg_scale": true}
    return {**told, "guidance_scale": spec.guidance_scale}


def _pictures(spec: GenerationSpec) -> dict[str, Any]:
    if spec.init is None:
        return {}
    given = {"image": Image.open(io.BytesIO(spec.init.data)).convert("RGB"), "strength": spec.init.strength}
    if spec.init.mask is not None:
        given["mask_image"] = Image.open(io.BytesIO(spec.init.mask))
    return given
