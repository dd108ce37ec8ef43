"""Families of pipelines that :mod:`engine.models.family` does not list, from what diffusers says of them.

A folder names a class. Where diffusers exports one of that name that paints a picture from a text alone, the
signature of its ``__call__`` and the configurations in the folder say the rest.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import diffusers

from engine.api import ModelUnavailable
from engine.models.family import Family
from engine.profile import pixels_per_latent, settings_of

Parameters = Mapping[str, inspect.Parameter]
_SCALES = (
    "guidance_scale",
    "decoder_guidance_scale",
    "prior_guidance_scale",
    "distilled_guidance_scale",
    "true_cfg_scale",
)
_FILMS = re.compile(r"frame|video|audio|duration")
"""In names of arguments: of films, sounds and shapes that turn."""
_PICTURED = re.compile(
    r"Control|Adapter|Edit(?!ing)|Fill|Refiner|Inpaint|Img2Img|I2I|Upscale|SuperResolution|Pix2Pix|Depth2Img"
    r"|Layered|GLIGEN|Zero"
)
"""In names of classes whose arguments do not say that they need a picture, or a region of one."""
_USELESS = frozenset({"ChromaInpaintPipeline", "FluxKontextInpaintPipeline"})
"""Siblings that in diffusers 0.42.1 fail, for a field that no Chroma transformer has, or paint in a size of
their own, which no mask fits.
"""
_SIBLING = re.compile(r"(?:Img2Img|Inpaint(?:ing)?)(?=(?:Combined)?Pipeline$)")
_HALF = re.compile(r"(?:Decoder|Prior|Combined)?Pipeline$")
_IMAGES = re.compile(r"return \w*Output\(\s*images?=")
_RASTER = re.compile(r"height % (\d+) != 0")
_CASCADED = 128
"""Sides that Wuerstchen's three stages (Pernias et al. 2023, arXiv:2306.00637) divide evenly, in pixels."""
_DENOISERS = ("transformer", "unet", "prior_prior", "decoder", "prior")
_SIDE = 1024
"""In pixels, where nothing else is known."""


def unlisted(architecture: str, file: Path, index: Mapping[str, Any]) -> Family:
    """The family of the folder whose model_index.json is ``file``; ModelUnavailable with the reason."""
    kind = _painter(architecture, file, index)
    known, root = parameters(kind), file.parent
    denoiser = next((name for name in _DENOISERS if isinstance(index.get(name), list)), "unet")
    settings = settings_of(root / denoiser)
    raster = pixels_per_latent(root) * (_whole(settings.get("patch_size")) or 1)
    scale = guidance_name(known)
    from_picture, inpainter = (_sibling(kind, task, index) for task in ("Img2Img", "Inpaint"))
    stem = kind.__name__.removesuffix("Pipeline")
    return Family(
        stem.lower(),
        stem,
        "engine.models.stock",
        "StockPipeline",
        tuple(filter(None, (kind.__name__, from_picture, inpainter))),
        denoiser=denoiser,
        size=_size(known, settings, root),
        steps=_whole(_default(known, "num_inference_steps")) or 25,
        guidance_scale=float(known[scale].default) if scale else 0.0,
        native=False,
        image_to_image=bool(from_picture),
        inpaint=bool(inpainter),
        loras=_takes_loras(kind, denoiser),
        negative_prompt="negative_prompt" in known,
        tile=False,
        multiple=math.lcm(2 * raster, _CASCADED if "vqgan" in index else 1, *_rasters(kind)),
        fixed_size="height" not in known,
        from_picture=from_picture,
        inpainter=inpainter,
        listed=False,
    )


def parameters(kind: type) -> Parameters:
    """What a pipeline's call takes."""
    return inspect.signature(kind.__call__).parameters


def guidance_name(known: Parameters) -> str | None:
    """The argument that is the guidance scale: of several, as with a prior, the first that is on."""
    numbers = (name for name in _SCALES if name in known and isinstance(known[name].default, int | float))
    return next((name for name in numbers if known[name].default > 0), None)


def changes_its_parts(kind: type) -> bool:
    """Whether a call sets other attention processors in a network, which would be those of all calls."""
    return bool(re.search(r"set_attn_processor|\.processor = ", _source(kind)))


def _painter(architecture: str, file: Path, index: Mapping[str, Any]) -> type:
    """The class that paints from a text alone; of a sibling that starts from a picture, its base."""
    kind = _exported(architecture)
    if kind is None:
        _refuse(file, architecture, "which neither this engine nor the installed diffusers knows")
    whole = _exported(_HALF.sub("CombinedPipeline", architecture))
    if whole is not None and whole is not kind:
        _refuse(
            file, architecture, f"which is one half of a {whole.__name__}; save that, whole, into one folder"
        )
    base = _exported(_SIBLING.sub("", architecture))
    kind = base if base is not None and _has_parts(base, index) else kind
    if reason := _unfit(kind, parameters(kind)):
        _refuse(file, architecture, reason)
    return kind


def _exported(name: str) -> type | None:
    """Of diffusers' own pipelines that can be called the one of that name; never code from elsewhere."""
    try:
        found = getattr(diffusers, name, None) if name.isidentifier() else None
    except RuntimeError as error:  # as diffusers says that a library does not fit
        raise ModelUnavailable(f"{name} cannot be had from the installed diffusers: {error}") from error
    if not isinstance(found, type) or not issubclass(found, diffusers.DiffusionPipeline):
        return None
    return found if any("__call__" in vars(each) for each in found.__mro__) else None


def _unfit(kind: type, known: Parameters) -> str | None:
    """Why a pipeline paints no picture from a text alone."""
    paints = _IMAGES.search(_source(kind)) or kind.__name__.endswith("CombinedPipeline")
    if any(map(_FILMS.search, known)) or "prompt" not in known or not paints:
        return "which does not make pictures from a text; choose a model that does"
    if _PICTURED.search(kind.__name__) or any(map(_is_needed, known.values())):
        return "which needs more than a text, such as a picture to work on; choose a model that does not"
    return None


def _is_needed(argument: inspect.Parameter) -> bool:
    """Whether a call fails without it: no default, or None in place of a picture that has to be one."""
    if argument.name in ("self", "prompt") or argument.kind is argument.VAR_KEYWORD:
        return False
    pictured = argument.name == "image" and not re.search("None|Optional", str(argument.annotation))
    return argument.default is argument.empty or pictured


def _sibling(kind: type, task: str, index: Mapping[str, Any]) -> str:
    """Name of the class that does ``task`` with the same parts; "" where there is none."""
    name = re.sub(r"(?=(?:Combined)?Pipeline$)", task, kind.__name__, count=1)
    found = _exported(name) or _exported(name.replace("Inpaint", "Inpainting"))
    if found is None or found.__name__ in _USELESS or not _continues(found, task, index):
        return ""
    return found.__name__


def _continues(found: type, task: str, index: Mapping[str, Any]) -> bool:
    """Whether it takes a picture, how far to go from it and, to repaint, a mask; and is made of the same."""
    wanted = {"prompt", "image", "strength"} | ({"mask_image"} if task == "Inpaint" else set())
    return wanted <= parameters(found).keys() and _has_parts(found, index)


def _has_parts(kind: type, index: Mapping[str, Any]) -> bool:
    """Whether a folder has all that a pipeline is made of."""
    parts = inspect.signature(kind).parameters.values()
    return all(part.name in index for part in parts if part.default is part.empty)


def _takes_loras(kind: Any, denoiser: str) -> bool:
    """Whether diffusers' loader puts LoRAs on the network that denoises."""
    return hasattr(kind, "load_lora_weights") and denoiser in getattr(kind, "_lora_loadable_modules", ())


def _source(kind: type) -> str:
    """Of the module that defines a class."""
    return inspect.getsource(inspect.getmodule(kind) or kind)


def _size(known: Parameters, settings: Mapping[str, Any], root: Path) -> int:
    """Side in pixels of the call's own default, of what the denoiser was trained on, or a usual one."""
    sides = [_whole(_default(known, name)) for name in ("height", "width")]
    trained = _whole(settings.get("sample_size")) * pixels_per_latent(root)
    return min(filter(None, sides), default=trained or _SIDE)


def _rasters(kind: type) -> list[int]:
    """What a pipeline itself says that sides must be multiples of."""
    return [int(number) for number in _RASTER.findall(_source(kind))]


def _default(known: Parameters, name: str) -> object:
    return known[name].default if name in known else None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _refuse(file: Path, architecture: str, reason: str) -> NoReturn:
    raise ModelUnavailable(f"{file} describes a {architecture}, {reason}.")
