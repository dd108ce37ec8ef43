"""A model in one .safetensors file, in the layout that it was trained in; its configuration lies beside it.

The configuration is a diffusers folder: ``model_index.json``, tokenizers, and a ``config.json`` for each
component. Components that the file does not hold may lie there with their weights. Torch-free.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import ModelUnavailable
from engine.lora import is_lora
from engine.weights import Shapes, refuse_pickle, shapes_of

SUFFIX = ".safetensors"
INDEX = "model_index.json"
PREFIX = "model.diffusion_model."
"""Of a denoiser's weights beside those of other components."""
_VAE = ("first_stage_model.", "vae.")
_CLIP_L, _T5 = ("text_encoders.clip_l.",), ("text_encoders.t5xxl.",)


def _bare(*names: str) -> tuple[str, ...]:
    """With and without the prefix that denoisers have beside other components."""
    return (*names, *(PREFIX + name for name in names))


HELD: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sd1": {
        "unet": (f"{PREFIX}input_blocks.",),
        "vae": _VAE[:1],
        "text_encoder": ("cond_stage_model.transformer.text_model.", "cond_stage_model.model."),
    },
    "sdxl": {
        "unet": (f"{PREFIX}label_emb.",),
        "vae": _VAE[:1],
        "text_encoder": ("conditioner.embedders.0.transformer.text_model.",),
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
    "z-image": {"transformer": _bare("layers.0.adaLN_modulation.")},
    "qwen-image": {"transformer": _bare("transformer_blocks.0.img_mod.")},
}
"""By family: the components of a single file, and how names begin of which any shows that it is there."""
_REFINER = "conditioner.embedders.0.model."
_QUANTISED = re.compile(r".*(?:\.scale_weight|\.weight_scale|scaled_fp8|\.absmax|\.comfy_quant)")
"""Names beside weights that are numbers only together with these; without them they would paint noise."""
_FIRST = ("input_blocks.0.0.weight", "img_in.weight", "x_embedder.proj.weight")
_STACKS = {
    "double_blocks": "num_layers",
    "single_blocks": "num_single_layers",
    "joint_blocks": "num_layers",
    "transformer_blocks": "num_layers",
    "layers": "n_layers",
}
"""Blocks of transformers, and how many of them there are by the configuration."""


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
    if (name := next(filter(_QUANTISED.fullmatch, shapes), None)) is not None:
        raise ModelUnavailable(
            f"{file} is quantised ({name}), which is not read; choose the file in bf16, fp16 or plain fp8."
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
    """What of the denoiser's first layers, or of what diffusers would leave out, is not as its configuration
    says.
    """
    config = _config(file)
    own = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    first = next((own[name] for name in _FIRST if name in own), None)
    wanted = config.get("in_channels")
    if first and wanted is not None and first[1] != wanted:
        yield f"its denoiser takes {first[1]} channels, not {wanted}"
    wanted = config.get("cross_attention_dim")
    keys = {shape[1] for name, shape in own.items() if name.endswith("attn2.to_k.weight")}
    if keys and isinstance(wanted, int) and keys != {wanted}:
        yield f"its UNet attends to {', '.join(map(str, sorted(keys)))} values of text, not {wanted}"
    if _any(own, ["guidance_in."]) and not config.get("guidance_embeds", True):
        yield "it takes a guidance scale (FLUX.1 dev), which guidance_embeds denies"
    for stack, key in _STACKS.items():
        count = len({name.split(".")[1] for name in own if name.startswith(f"{stack}.")})
        if count and count != config.get(key, count):
            yield f"it has {count} {stack}, not {config[key]}"


def _config(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the profile says so in its own words
    return content if isinstance(content, dict) else {}
