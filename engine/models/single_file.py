"""A pipeline from one .safetensors file, by diffusers' own conversion; no weight may be missing from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import torch

from engine.api import ModelUnavailable
from engine.checkpoint import INDEX
from engine.profile import Profile


def load_single_file(kind: Any, profile: Profile, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    """The file as a pipeline of ``kind``; what it does not hold comes from the folder of its configuration.

    ModelUnavailable when weights are missing that the configuration asks for.
    """
    source = profile.source
    try:
        pipeline = kind.from_single_file(
            str(source.checkpoint),
            config=str(source.path),
            local_files_only=True,
            torch_dtype=dtype,
            **dict(_beside(profile, dtype)),
            **options,
        )
    except NotImplementedError as error:  # torch's, when it comes upon a weight that nothing was read into
        raise ModelUnavailable(
            f"{source.checkpoint} lacks weights that {source.path} describes; choose another file, or the "
            "configuration that fits it."
        ) from error
    for name, part in pipeline.components.items():
        lacking = [key for key, weight in _weights(part) if weight.is_meta]
        if lacking:
            raise ModelUnavailable(
                f"{source.checkpoint} lacks {len(lacking)} weights of the {name} that {source.path} "
                f"describes, {lacking[0]} for one; choose another file, or the configuration that fits it."
            )
    return pipeline


def _beside(profile: Profile, dtype: torch.dtype) -> Iterator[tuple[str, Any]]:
    """Components with weights of their own in the folder, where the file has none of them."""
    root = profile.source.path
    index = json.loads((root / INDEX).read_text(encoding="utf-8"))
    for name, value in index.items():
        weights = (root / name).is_dir() and any((root / name).glob("*.safetensors"))
        if not weights or name in profile.held or not isinstance(value, list) or value[0] is None:
            continue
        kind = getattr(import_module(value[0]), value[1])
        yield (
            name,
            kind.from_pretrained(
                root / name,
                dtype=dtype,
                variant=profile.variant,
                use_safetensors=True,
                local_files_only=True,
            ),
        )


def _weights(part: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(part, torch.nn.Module):
        yield from part.named_parameters()
