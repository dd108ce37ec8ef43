"""A model in one .safetensors file, in the layout that it was trained in; its configuration lies beside it.

The configuration is a diffusers folder: ``model_index.json``, tokenizers, and a ``config.json`` for each
component. Components that the file does not hold may lie there with their weights. Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import ModelUnavailable
from engine.lora import is_lora
from engine.weights import Shapes, refuse_pickle, shapes_of

SUFFIX = ".safetensors"
INDEX = "model_index.json"
_UNET = "model.diffusion_model."
_VAE = ("first_stage_model.", "vae.")
_CLIP_L, _T5 = ("text_encoders.clip_l.",), ("text_encoders.t5xxl.",)


def _bare(*names: str) -> tuple[str, ...]:
    """With and without the prefix that denoisers have beside other components."""
    return (*names, *(_UNET + name for name in names))


HELD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sd1": {
        "unet": (f"{_UNET}input_blocks.",),
        "vae": _VAE[:1],
        "text_encoder": ("cond_stage_model.transformer.", "cond_stage_model.model."),
    },
    "sdxl": {
        "unet": (f"{_UNET}label_emb.",),
        "vae": _VAE[:1],
        "text_encoder": ("conditioner.embedders.0.transformer.",),
        "text_encoder_2": ("conditioner.embedders.1.model.",),
    },
    "sd3": {
        "transformer": _bare("joint_blocks."),
        "vae": _VAE[:1],
        "text_encoder": _CLIP_L,
        "text_encoder_2": ("text_encoders.clip_g.",),
        "text_encoder_3": _T5,
    },
    "flux": {
        "transformer": _bare("double_blocks."),
        "vae": _VAE,
        "text_encoder": _CLIP_L,
        "text_encoder_2": _T5,
    },
}
"""By family: the components of a single file, and how names begin of which any shows that it is there."""
_REFINER = "conditioner.embedders.0.model."


def found(path: Path, config: Path | None) -> tuple[Path, Path | None]:
    """A model's folder, and the single file that holds its weights where there is one.

    ModelUnavailable for a pickle, and for a file without its configuration.
    """
    if path.is_dir():
        return path, _inside(path)
    refuse_pickle(path)
    if path.suffix.lower() != SUFFIX:
        return path, None
    if not path.is_file():
        raise ModelUnavailable(f"{path} is missing; put the model there, or mend its path.")
    places = [config] if config else [path.with_suffix(""), path.parent / "config", path.parent]
    for folder in places:
        if (folder / INDEX).is_file():
            return folder, path
    raise ModelUnavailable(
        f"{path} needs its model's configuration: {' or '.join(str(place / INDEX) for place in places)} is "
        "missing; copy a diffusers folder of that architecture there (its weights are not needed)."
    )


def _inside(folder: Path) -> Path | None:
    """The one checkpoint of a folder whose components have no weights of their own."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if len(files) != 1 or any(folder.glob(f"*/*{SUFFIX}")) or not (folder / INDEX).is_file():
        return None
    return files[0]


def held(file: Path, family: str, title: str, denoiser: str, folder: Path) -> frozenset[str]:
    """Components that the file holds; ModelUnavailable when it is not a whole model of the family."""
    if family not in HELD:
        raise ModelUnavailable(
            f"{file} cannot be read as one file: {title} models are loaded from their diffusers folder."
        )
    shapes = shapes_of(file)
    parts = {part for part, prefixes in HELD[family].items() if _any(shapes, prefixes)}
    if denoiser not in parts or _any(shapes, [_REFINER]):
        raise ModelUnavailable(
            f"{file} holds no {title} model, as {folder / INDEX} says; it {_looks(shapes)}. "
            "Choose another file, or the configuration that fits it."
        )
    for fault in _misfits(shapes, folder / denoiser / "config.json"):
        raise ModelUnavailable(f"{file} does not fit {folder / denoiser / 'config.json'}: {fault}.")
    return frozenset(parts)


def _any(names: Shapes, prefixes: Sequence[str]) -> bool:
    return any(name.startswith(tuple(prefixes)) for name in names)


def _looks(shapes: Shapes) -> str:
    if is_lora(shapes):
        return "is a LoRA; put it into [engine] loras_dir"
    if _any(shapes, [_REFINER]):
        return "is SDXL's refiner, which paints nothing by itself"
    for family, parts in reversed(list(HELD.items())):
        if _any(shapes, next(iter(parts.values()))):
            return f"looks like a model of the family {family}"
    return "is nothing that this engine knows"


def _misfits(shapes: Shapes, file: Path) -> Iterator[str]:
    """What of a UNet's first layers is not as its configuration says."""
    config = _config(file)
    first = shapes.get(f"{_UNET}input_blocks.0.0.weight")
    wanted = config.get("in_channels")
    if first and wanted is not None and first[1] != wanted:
        yield f"its UNet takes {first[1]} channels, not {wanted}"
    wanted = config.get("cross_attention_dim")
    keys = {shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")}
    if keys and isinstance(wanted, int) and keys != {wanted}:
        yield f"its UNet attends to {', '.join(map(str, sorted(keys)))} values of text, not {wanted}"


def _config(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the profile says so in its own words
    return content if isinstance(content, dict) else {}
