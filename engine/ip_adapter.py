"""IP-Adapters (Ye et al. 2023, arXiv:2308.06721): which fits which model, by headers. Torch-free."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.lora import shapes_of
from engine.weights import Shapes

_TOLD = "leave ip_adapter out, or choose another"


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """The adapter's weights, and the folder of the CLIP that looks at the pictures."""

    weights: Path
    encoder: Path


def encoder_beside(weights: Path, model: Path) -> Path:
    """The image encoder where none is named: beside the adapter, as they are published, or in the model."""
    places = (weights.parent / "image_encoder", model / "image_encoder")
    return next((place for place in places if place.is_dir()), places[0])


def adapter_misfit(files: AdapterFiles, weights: Sequence[Path]) -> str | None:
    """Why an adapter does not fit the model whose UNet is in ``weights``, or cannot be used; else None."""
    shapes = shapes_of(files.weights)
    if isinstance(shapes, str):
        return shapes
    own = [shapes_of(file) for file in weights]
    layers: Shapes = {key: shape for part in own if not isinstance(part, str) for key, shape in part.items()}
    return next(_misfits(files, shapes, layers), None)


def _misfits(files: AdapterFiles, shapes: Shapes, layers: Shapes) -> Iterator[str]:
    name = files.weights.name
    keys = [key for key in shapes if key.startswith("ip_adapter.") and key.endswith("to_k_ip.weight")]
    if not keys or not any(key.startswith("image_proj.") for key in shapes):
        yield f"{name} holds no IP-Adapter; {_TOLD}"
        return
    taken = _taken(shapes)
    if taken is None:
        yield f"{name} wants a face recogniser (FaceID), which is not here; {_TOLD}"
        return
    theirs = [shapes[key] for key in keys]
    ours = [shape for key, shape in layers.items() if key.endswith("attn2.to_k.weight")]
    if Counter(theirs) != Counter(ours):
        wide = [", ".join(map(str, sorted({shape[1] for shape in each}))) for each in (theirs, ours)]
        yield (
            f"{name} was made for another kind of model: its {len(theirs)} layers take {wide[0]} values, and "
            f"this model has {len(ours)} that take {wide[1] or 'none'}"
        )
    yield from _strange_encoder(files.encoder, name, *taken)


def _taken(shapes: Shapes) -> tuple[str, int] | None:
    """What the adapter takes of its encoder, as its configuration calls that, and how many values; None for
    those that take something else.
    """
    plain = {key.removeprefix("image_proj."): shape for key, shape in shapes.items()}
    if "proj.weight" in plain:
        return "projection_dim", plain["proj.weight"][1]
    if "proj.3.weight" in plain:
        return "hidden_size", plain["proj.0.weight"][1]
    return ("hidden_size", plain["proj_in.weight"][1]) if "latents" in plain else None


def _strange_encoder(folder: Path, name: str, key: str, wanted: int) -> Iterator[str]:
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield f"{folder / 'config.json'}, the image encoder of {name}, is missing or no JSON; put it there"
        return
    found = config.get(key) if isinstance(config, dict) else None
    if found != wanted:
        yield f"{name} takes {wanted} values of its image encoder, and the one in {folder} gives {found}"
    files = [shapes_of(file) for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        yield f"{folder} has no .safetensors file; put the image encoder of {name} there"
    yield from (shapes for shapes in files if isinstance(shapes, str))
