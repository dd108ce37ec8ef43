"""IP-Adapters (Ye et al. 2023, arXiv:2308.06721): which fits which model, by headers. Torch-free."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.lora import shapes_of
from engine.weights import Shapes

_TOLD = "leave ip_adapter out, or choose another"
_XLABS = re.compile(r"double_blocks\.(\d+)\.processor\.ip_adapter_double_stream_([kv])_proj\.(\w+)")
_OF_UNETS = {
    "proj.weight": ("projection_dim", "proj.weight"),
    "proj.3.weight": ("hidden_size", "proj.0.weight"),
    "latents": ("hidden_size", "proj_in.weight"),
}
_TAKES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "flux": {"proj.weight": ("projection_dim", "proj.weight")},
    "sd3": {"time_embedding.linear_1.weight": ("hidden_size", "proj_in.weight")},
}
"""By family: a weight that tells the kind of an adapter, what it takes of its image encoder, as the encoder's
configuration calls that, and the weight that takes it.
"""
_ENCODERS = {"sd3": ("siglip", "SigLIP")}
_CLIP = ("clip", "CLIP")


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """The adapter's weights, and the folder of the encoder that looks at the pictures."""

    weights: Path
    encoder: Path


def encoder_beside(weights: Path, model: Path) -> Path:
    """The image encoder where none is named: beside the adapter, as they are published, or in the model."""
    places = (weights.parent / "image_encoder", model / "image_encoder")
    return next((place for place in places if place.is_dir()), places[0])


def part_of(key: str) -> tuple[str, str]:
    """Part of an adapter (``image_proj`` or ``ip_adapter``) and name in it of a published file's tensor, by
    diffusers' names; those of XLabs-AI for FLUX are others.
    """
    part, _, name = key.partition(".")
    if part == "ip_adapter_proj_model":
        return "image_proj", name
    if found := _XLABS.fullmatch(key):
        return "ip_adapter", f"{found[1]}.to_{found[2]}_ip.{found[3]}"
    return part, name


def adapter_misfit(
    files: AdapterFiles, family: str, denoiser: Mapping[str, Any], weights: Sequence[Path]
) -> str | None:
    """Why an adapter does not fit a model, or cannot be used; else None. ``denoiser`` is the configuration of
    the network that denoises, ``weights`` are its files.
    """
    shapes = shapes_of(files.weights)
    if isinstance(shapes, str):
        return shapes
    layers = _layers_of(family, denoiser) if family in _TAKES else _layers_in(weights)
    return next(_misfits(files, family, shapes, layers), None)


def _layers_of(family: str, denoiser: Mapping[str, Any]) -> Counter[tuple[int, ...]]:
    """What the layers of a transformer make of how many values, by its configuration: a single file names its
    layers in another way.
    """
    wide = int(denoiser["num_attention_heads"]) * int(denoiser["attention_head_dim"])
    if family == "flux":
        return Counter({(wide, int(denoiser["joint_attention_dim"])): int(denoiser["num_layers"])})
    twice = denoiser.get("dual_attention_layers") or ()
    return Counter({(wide, wide): int(denoiser["num_layers"]) + len(twice)})


def _layers_in(weights: Sequence[Path]) -> Counter[tuple[int, ...]]:
    """The same of a UNet, by its weights."""
    found = (shapes_of(file) for file in weights)
    return Counter(
        shape
        for shapes in found
        if not isinstance(shapes, str)
        for key, shape in shapes.items()
        if key.endswith("attn2.to_k.weight")
    )


def _misfits(
    files: AdapterFiles, family: str, shapes: Shapes, ours: Counter[tuple[int, ...]]
) -> Iterator[str]:
    name = files.weights.name
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in shapes.items():
        part, rest = part_of(key)
        parts.setdefault(part, {})[rest] = shape
    lent = parts.get("ip_adapter", {})
    keys = [shape for key, shape in lent.items() if key.endswith("to_k_ip.weight")]
    theirs = Counter(shape for shape in keys if len(shape) == 2)
    if not theirs or "image_proj" not in parts:
        yield f"{name} holds no IP-Adapter; {_TOLD}"
        return
    if theirs != ours:
        wide = [", ".join(map(str, sorted({shape[-1] for shape in each}))) for each in (theirs, ours)]
        yield (
            f"{name} was made for another kind of model: its {theirs.total()} layers take {wide[0]} values, "
            f"and this model has {ours.total()} that take {wide[1] or 'none'}"
        )
    taken = _taken(family, parts["image_proj"])
    if taken is None:
        yield f"{name} is of a kind that is not read here (FaceID, say, wants a face recogniser); {_TOLD}"
        return
    yield from _strange_encoder(files.encoder, name, _ENCODERS.get(family, _CLIP), *taken)


def _taken(family: str, shapes: Shapes) -> tuple[str, int] | None:
    """What the adapter takes of its encoder, as its configuration calls that, and how many values; None for
    those that take something else.
    """
    kinds = _TAKES.get(family, _OF_UNETS)
    known = ((key, shapes.get(name)) for mark, (key, name) in kinds.items() if mark in shapes)
    return next(((key, shape[-1]) for key, shape in known if shape), None)


def _strange_encoder(folder: Path, name: str, eyes: tuple[str, str], key: str, wanted: int) -> Iterator[str]:
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield f"{folder / 'config.json'}, the image encoder of {name}, is missing or no JSON; put it there"
        return
    config = config if isinstance(config, dict) else {}
    kind, title = eyes
    if not str(config.get("model_type", kind)).startswith(kind):
        yield f"{name} takes a {title} as its image encoder, and {folder} holds a {config['model_type']}"
    # The whole model, which reads texts too, has the encoder's settings inside.
    inner = config.get("vision_config")
    found = {**config, **inner}.get(key) if isinstance(inner, dict) else config.get(key)
    if found != wanted:
        yield f"{name} takes {wanted} values of its image encoder, and the one in {folder} gives {found}"
    files = [shapes_of(file) for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        yield f"{folder} has no .safetensors file; put the image encoder of {name} there"
    yield from (f"of {folder}: {shapes}" for shapes in files if isinstance(shapes, str))
