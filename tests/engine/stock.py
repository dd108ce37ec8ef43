"""The reference: the stock diffusers pipeline, one image at a time, alone."""

from __future__ import annotations

import inspect
import io
import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image

from engine import schedulers
from engine.api import GenerationSpec


class Stock:
    """Runs specs through diffusers, with none of the engine's code but its table of samplers."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self._pipeline = cache(self._load)

    def images(self, spec: GenerationSpec) -> torch.Tensor:
        """(n, 3, H, W) in [0, 1], before any upscaling."""
        return torch.cat([self._image(spec, seed) for seed in spec.seeds])

    def latents(self, spec: GenerationSpec) -> torch.Tensor:
        """(n, C, h, w), before decoding."""
        return torch.cat([self._image(spec, seed, "latent") for seed in spec.seeds])

    def _image(self, spec: GenerationSpec, seed: int, output: str = "pt") -> torch.Tensor:
        pipeline = self._pipeline(spec.model, _task(spec))
        pipeline.scheduler = schedulers.build(spec.sampler, pipeline.own_scheduler)
        given = {
            "prompt": spec.prompt,
            "negative_prompt": spec.negative_prompt or None,
            "num_inference_steps": spec.steps,
            "guidance_scale": spec.guidance_scale,
            "guidance_rescale": self._described(spec.model).get("guidance_rescale", 0.0),
            "generator": torch.Generator().manual_seed(seed),
            "output_type": output,
            **_shape(spec),
        }
        known = inspect.signature(pipeline.__call__).parameters
        result: torch.Tensor = pipeline(
            **{name: value for name, value in given.items() if name in known}
        ).images
        return result

    def _described(self, model: str) -> dict[str, Any]:
        file = self._folders[model] / "tessera.json"
        described: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return described

    def _load(self, model: str, task: str) -> Any:
        own = json.loads((self._folders[model] / "model_index.json").read_text())["_class_name"]
        name = own.replace("Pipeline", f"{task}Pipeline")
        kind = getattr(diffusers, name, diffusers.StableDiffusionInpaintPipeline)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = kind.from_pretrained(self._folders[model], low_cpu_mem_usage=False)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.own_scheduler = pipeline.scheduler.config
        return pipeline


def _task(spec: GenerationSpec) -> str:
    """What the class is called for it, between the model's name and "Pipeline"."""
    if spec.init is None:
        return ""
    return "Img2Img" if spec.init.mask is None else "Inpaint"


def _shape(spec: GenerationSpec) -> dict[str, object]:
    """Sizes and pictures; a pipeline that starts from a picture takes its size."""
    shape: dict[str, object] = {"width": spec.width, "height": spec.height}
    if spec.init is None:
        return shape
    picture = {"image": _opened(spec.init.data).convert("RGB"), "strength": spec.init.strength}
    if spec.init.mask is None:
        return picture
    return {**shape, **picture, "mask_image": _opened(spec.init.mask)}


def _opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))
