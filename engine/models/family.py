"""What is known of each family of models before one is loaded. Torch-free.

The table of ``docs/models.md`` is written from it, and each of its cells is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """Models of one architecture: where their code is and what works with them."""

    name: str
    title: str
    module: str
    """Of the class that satisfies :class:`engine.models.base.ModelFamily`."""
    loader: str
    """Name of that class."""
    pipelines: tuple[str, ...]
    """``_class_name`` of the folders' model_index.json; the first is the one whose pictures are matched."""
    denoiser: str = "unet"
    """Folder of the network that denoises."""
    patch: int = 1
    """Latents along a side that the denoiser takes as one; a picture's sides are multiples of it."""
    size: int = 512
    """Side in pixels where the folder does not say what the model was trained on."""
    steps: int = 25
    guidance_scale: float = 7.5
    native: bool = True
    """Batched step by step with others, rather than one job through the stock pipeline."""
    image_to_image: bool = True
    inpaint: bool = False
    loras: bool = False
    negative_prompt: bool = True
    tile: bool = True


_ALL = (
    Family(
        "sd1",
        "Stable Diffusion 1.x, 2.x",
        "engine.models.sd1",
        "StableDiffusion1",
        ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    ),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _ALL}
PIPELINES: Mapping[str, Family] = {name: family for family in _ALL for name in family.pipelines}
"""Families by the pipeline class that a folder names."""
