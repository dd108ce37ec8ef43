"""What is known of each family of models before one is loaded. Torch-free.

The table of ``docs/models.md`` is written from it, and each of its cells is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any


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
    needs: tuple[str, ...] = ()
    """Components that a folder may lack, and that this family cannot do without."""
    patch: int = 1
    """Latents along a side that the denoiser takes as one; a picture's sides are multiples of it."""
    size: int = 512
    """Side in pixels where the folder does not say what the model was trained on."""
    steps: int = 25
    min_steps: int = 1
    guidance_scale: float = 7.5
    native: bool = True
    """Batched step by step with others, rather than one job through the stock pipeline."""
    image_to_image: bool = True
    inpaint: bool = False
    prompt_weights: bool = False
    loras: bool = False
    references: bool = False
    """Takes an IP-Adapter."""
    negative_prompt: bool = True
    tile: bool = True
    multiple: int = 8
    """Sides in pixels are multiples of it, where that does not follow from the folder (stock pipelines)."""
    fixed_size: bool = False
    """Paints one size only, the native one (stock pipelines)."""
    looks: bool = False
    """Its call takes pictures to go by beside the text, several of them (stock pipelines)."""
    from_picture: str = ""
    """Pipeline class that starts from a picture (stock pipelines)."""
    inpainter: str = ""
    """Pipeline class that repaints a part of one, or all of it where ``from_picture`` is missing."""
    distilled: tuple[int, float] | None = None
    """Steps and guidance scale of folders whose denoiser embeds no guidance, where others do."""
    listed: bool = True
    """In :data:`FAMILIES`, rather than made from what diffusers says of a class."""
    samplers: tuple[str, ...] = ()
    """Those that fit the way it was trained; where empty, all that can read what it predicts."""

    @property
    def style_apart(self) -> bool:
        """Whether it is known which layers carry style: of UNets alone."""
        return self.denoiser == "unet"

    @property
    def abilities(self) -> Mapping[str, bool]:
        """What works with its models, in the order in which people ask for it."""
        return {
            "text to image": True,
            "image to image": self.image_to_image,
            "inpaint, zoom, pan": self.inpaint,
            "blend": self.image_to_image or self.references or self.looks,
            "references": self.references,
            "LoRA": self.loras,
            "negative prompt": self.negative_prompt,
            "weights in prompts": self.prompt_weights,
            "tile": self.tile,
            "stop, vary": self.native,
            "upscale": True,
            "second pass": self.native and self.image_to_image,
            "native batching": self.native,
        }


def _flow(
    name: str,
    title: str,
    loader: str,
    pipelines: tuple[str, ...],
    *,
    steps: int,
    guidance: float,
    references: bool = False,
    distilled: tuple[int, float] | None = None,
    samplers: tuple[str, ...] = (),
) -> Family:
    """A transformer trained by flow matching, on latents of which it takes two by two."""
    return Family(
        name,
        title,
        f"engine.models.{name.replace('-', '_')}",
        loader,
        pipelines,
        denoiser="transformer",
        patch=2,
        size=1024,
        steps=steps,
        guidance_scale=guidance,
        inpaint=True,
        loras=True,
        references=references,
        tile=False,
        distilled=distilled,
        samplers=samplers,
    )


def _kinds(stem: str) -> tuple[str, ...]:
    """Pipeline classes that share their weights."""
    return tuple(f"{stem}{kind}Pipeline" for kind in ("", "Img2Img", "Inpaint"))


_FLOWS = (
    _flow(
        "sd3",
        "Stable Diffusion 3.x",
        "StableDiffusion3",
        _kinds("StableDiffusion3"),
        steps=28,
        guidance=7.0,
        references=True,
    ),
    _flow(
        "flux",
        "FLUX.1",
        "Flux",
        _kinds("Flux"),
        steps=28,
        guidance=3.5,
        references=True,
        distilled=(4, 0.0),
    ),
    _flow("z-image", "Z-Image", "ZImage", _kinds("ZImage"), steps=8, guidance=0.0),
    _flow("qwen-image", "Qwen-Image", "QwenImage", _kinds("QwenImage"), steps=50, guidance=4.0),
    _flow(
        "cogview4",
        "CogView4",
        "CogView4",
        ("CogView4Pipeline",),
        steps=50,
        guidance=5.0,
        samplers=("euler", "lcm"),
    ),
)
_ALL = (
    Family(
        "sd1",
        "Stable Diffusion 1.x, 2.x",
        "engine.models.sd1",
        "StableDiffusion1",
        (
            "StableDiffusionPipeline",
            "StableDiffusionImg2ImgPipeline",
            "StableDiffusionInpaintPipeline",
            "LatentConsistencyModelPipeline",
            "LatentConsistencyModelImg2ImgPipeline",
        ),
        inpaint=True,
        loras=True,
        references=True,
        prompt_weights=True,
    ),
    *_FLOWS,
    Family(
        "sdxl",
        "SDXL",
        "engine.models.sdxl",
        "StableDiffusionXL",
        (
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLInpaintPipeline",
        ),
        size=1024,
        guidance_scale=5.0,
        inpaint=True,
        loras=True,
        references=True,
        prompt_weights=True,
        needs=("text_encoder", "text_encoder_2"),
    ),
)


def _stock(
    name: str,
    title: str,
    pipeline: str,
    *,
    denoiser: str = "transformer",
    size: int = 1024,
    multiple: int = 16,
    steps: int = 25,
    guidance: float = 5.0,
    from_picture: str = "",
    inpainter: str = "",
    **able: Any,
) -> Family:
    """A pipeline that runs as diffusers wrote it; ``able`` are further fields of it."""
    return Family(
        name,
        title,
        "engine.models.stock",
        "StockPipeline",
        tuple(dict.fromkeys(filter(None, (pipeline, from_picture, inpainter)))),
        size=size,
        steps=steps,
        guidance_scale=guidance,
        denoiser=denoiser,
        native=False,
        image_to_image=bool(from_picture) or inpainter not in ("", pipeline),
        inpaint=bool(inpainter),
        tile=False,
        multiple=multiple,
        from_picture=from_picture,
        inpainter=inpainter,
        **able,
    )


_PLAIN = ("ddim", "ddpm", "dpm++ 2m", "dpm++ 2m sde", "dpm++ 2s", "deis", "unipc")
"""For pipelines that index by timesteps or count them: others make them fractions, or repeat some."""


def _kandinsky(name: str, title: str, stem: str) -> tuple[Family, Family]:
    """The models of a version that paint, and those that were trained to repaint."""
    kind, from_picture, inpainter = (f"{stem}{task}CombinedPipeline" for task in ("", "Img2Img", "Inpaint"))
    plain = partial(
        _stock,
        denoiser="unet",
        samplers=_PLAIN,
        size=512,
        multiple=64,
        steps=50,
        guidance=4.0,
    )
    return (
        plain(name, title, kind, from_picture=from_picture),
        plain(f"{name}-inpaint", f"{title}, inpainting", inpainter, inpainter=inpainter),
    )


_STOCK = (
    _stock(
        "kolors",
        "Kolors",
        "KolorsPipeline",
        denoiser="unet",
        multiple=8,
        from_picture="KolorsImg2ImgPipeline",
        loras=True,
        references=True,
    ),
    _stock("hunyuan-dit", "HunyuanDiT", "HunyuanDiTPipeline"),
    _stock("cogview3", "CogView3+", "CogView3PlusPipeline", multiple=32, steps=50),
    _stock("pixart-alpha", "PixArt-α", "PixArtAlphaPipeline", steps=20, guidance=4.5),
    _stock("pixart-sigma", "PixArt-Σ", "PixArtSigmaPipeline", steps=20, guidance=4.5),
    _stock("sana", "Sana", "SanaPipeline", multiple=32, steps=20, guidance=4.5, loras=True),
    _stock(
        "sana-sprint",
        "Sana Sprint",
        "SanaSprintPipeline",
        multiple=32,
        steps=2,
        guidance=4.5,
        negative_prompt=False,
        from_picture="SanaSprintImg2ImgPipeline",
        loras=True,
    ),
    _stock(
        "flux2",
        "FLUX.2",
        "Flux2Pipeline",
        steps=50,
        guidance=4.0,
        negative_prompt=False,
        loras=True,
        looks=True,
    ),
    _stock(
        "flux2-klein",
        "FLUX.2 Klein",
        "Flux2KleinPipeline",
        steps=4,
        guidance=4.0,
        negative_prompt=False,
        inpainter="Flux2KleinInpaintPipeline",
        loras=True,
        looks=True,
    ),
    *_kandinsky("kandinsky21", "Kandinsky 2.1", "Kandinsky"),
    *_kandinsky("kandinsky22", "Kandinsky 2.2", "KandinskyV22"),
    _stock(
        "kandinsky3",
        "Kandinsky 3",
        "Kandinsky3Pipeline",
        denoiser="unet",
        samplers=_PLAIN,
        multiple=64,
        guidance=3.0,
        from_picture="Kandinsky3Img2ImgPipeline",
    ),
    _stock(
        "unclip",
        "unCLIP (Karlo)",
        "UnCLIPPipeline",
        denoiser="decoder",
        size=256,
        guidance=8.0,
        min_steps=2,
        negative_prompt=False,
        fixed_size=True,
    ),
    _stock(
        "amused",
        "aMUSEd",
        "AmusedPipeline",
        size=512,
        steps=12,
        guidance=10.0,
        from_picture="AmusedImg2ImgPipeline",
        inpainter="AmusedInpaintPipeline",
    ),
    _stock(
        "if",
        "DeepFloyd IF (first stage)",
        "IFPipeline",
        denoiser="unet",
        samplers=_PLAIN,
        size=64,
        multiple=8,
        steps=50,
        guidance=7.0,
        from_picture="IFImg2ImgPipeline",
        inpainter="IFInpaintingPipeline",
        loras=True,
    ),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in (*_ALL, *_STOCK)}
PIPELINES: Mapping[str, Family] = {name: family for family in FAMILIES.values() for name in family.pipelines}
"""Families by the pipeline class that a folder names."""
