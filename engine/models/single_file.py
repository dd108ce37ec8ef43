"""A pipeline from one .safetensors file, by diffusers' own conversion; no weight may be missing from it."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from importlib import import_module
from typing import Any

import diffusers
import torch
from safetensors.torch import load_file

from engine.api import ModelUnavailable
from engine.checkpoint import INDEX, PREFIX
from engine.models.networks import read_network
from engine.profile import Profile, is_component


def load_single_file(kind: Any, profile: Profile, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    """The file as a pipeline of ``kind``; what it does not hold comes from the folder of its configuration.

    ``options`` are parts that are given, None among them. ModelUnavailable when weights are missing that the
    configuration asks for.
    """
    source = profile.source
    try:
        # Qwen-Image's pipeline reads no single file; its transformer does.
        whole = hasattr(kind, "from_single_file")
        pipeline = (_whole if whole else _around_denoiser)(kind, profile, dtype, options)
    except KeyError as error:  # a conversion's, for a name that it looks up
        raise ModelUnavailable(
            f"{source.checkpoint} lacks {error.args[0]}; choose another file, or the configuration that fits "
            "it."
        ) from error
    except NotImplementedError as error:  # torch's, when it comes upon a weight that nothing was read into
        raise ModelUnavailable(
            f"{source.checkpoint} lacks weights that {source.path} describes; choose another file, or the "
            "configuration that fits it."
        ) from error
    for name, lacking in unread(pipeline):
        raise ModelUnavailable(
            f"{source.checkpoint} lacks {len(lacking)} weights of the {name} that {source.path} "
            f"describes, {lacking[0]} for one; choose another file, or the configuration that fits it."
        )
    return pipeline


def unread(pipeline: Any) -> Iterator[tuple[str, list[str]]]:
    """Parts of a loaded pipeline with the weights that no file held."""
    for name, part in pipeline.components.items():
        if lacking := [key for key, weight in _weights(part) if weight.is_meta]:
            yield name, lacking


def _whole(kind: Any, profile: Profile, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    return kind.from_single_file(
        str(profile.source.checkpoint),
        config=str(profile.source.path),
        local_files_only=True,
        torch_dtype=dtype,
        **dict(_beside(profile, dtype, options)),
        **options,
    )


def _around_denoiser(kind: Any, profile: Profile, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    source, name = profile.source, profile.family.denoiser
    assert source.checkpoint is not None
    weights = {key.removeprefix(PREFIX): weight for key, weight in load_file(source.checkpoint).items()}
    denoiser = getattr(diffusers, index_of(profile)[name][1]).from_single_file(
        weights, config=str(source.path), subfolder=name, local_files_only=True, torch_dtype=dtype
    )
    return kind.from_pretrained(
        source.path,
        dtype=dtype,
        variant=profile.variant,
        use_safetensors=True,
        local_files_only=True,
        **{name: denoiser},
        **dict(_beside(profile, dtype, options)),
        **options,
    )


def _beside(profile: Profile, dtype: torch.dtype, given: Container[str]) -> Iterator[tuple[str, Any]]:
    """Components with weights of their own in the folder, where the file has none of them, nor are they
    ``given``.
    """
    root = profile.source.path
    for name, value in index_of(profile).items():
        weights = (root / name).is_dir() and any((root / name).glob("*.safetensors"))
        ours = is_component(value) and value[0] in ("diffusers", "transformers")
        if not weights or name in profile.held or name in given or not ours:
            continue
        kind = getattr(import_module(value[0]), value[1])
        yield name, read_network(kind, root / name, dtype, profile.variant)


def index_of(profile: Profile) -> Mapping[str, Any]:
    """What the folder says of its parts."""
    index: dict[str, Any] = json.loads((profile.source.path / INDEX).read_text(encoding="utf-8"))
    return index


def _weights(part: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(part, torch.nn.Module):
        yield from part.named_parameters()
