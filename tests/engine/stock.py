"""The reference: the stock diffusers pipeline, one image at a time, alone."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path

import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image

from engine import samplers
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
        pipeline = self._pipeline(spec.model, spec.init is not None)
        base = self._pipeline(spec.model, False).scheduler_config
        pipeline.scheduler = samplers.build(spec.sampler, base)
        shape: dict[str, object] = {"width": spec.width, "height": spec.height}
        if spec.init is not None:
            shape = {
                "image": Image.open(io.BytesIO(spec.init.data)).convert("RGB"),
                "strength": spec.init.strength,
            }
        result: torch.Tensor = pipeline(
            spec.prompt,
            negative_prompt=spec.negative_prompt,
            num_inference_steps=spec.steps,
            guidance_scale=spec.guidance_scale,
            generator=torch.Generator().manual_seed(seed),
            output_type=output,
            **shape,
        ).images
        return result

    def _load(self, model: str, from_picture: bool) -> StableDiffusionPipeline:
        kind = StableDiffusionImg2ImgPipeline if from_picture else StableDiffusionPipeline
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = kind.from_pretrained(
                self._folders[model], safety_checker=None, low_cpu_mem_usage=False
            )
        pipeline.set_progress_bar_config(disable=True)
        pipeline.scheduler_config = pipeline.scheduler.config
        return pipeline
