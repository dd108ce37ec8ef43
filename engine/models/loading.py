"""A model's folder or file as the stock pipeline of its family, with every weight read and none made up."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import diffusers
import torch
import transformers

from engine.api import ModelUnavailable
from engine.models.networks import incomplete, read_network, read_part, refuse_strange_tokenizers
from engine.models.single_file import index_of, load_single_file, unread
from engine.profile import Profile, is_component


def load_pipeline(profile: Profile, dtype: torch.dtype) -> Any:
    """The folder as its family's stock pipeline: safetensors only, no code of its own, nothing from the
    network. ModelUnavailable with diffusers' own reason where that fails.
    """
    os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"
    _hush()
    kind = _pipeline(profile)
    try:
        if profile.source.checkpoint:
            pipeline = load_single_file(kind, profile, dtype, _without_extras(kind) | _absent(profile, kind))
            refuse_strange_tokenizers(pipeline.components, profile.source.path)
            return pipeline
        parts = {**_absent(profile, kind), **strays(profile, dtype)}
        pipeline = kind.from_pretrained(
            profile.source.path,
            dtype=dtype,
            # Else numbers are drawn for every layer first, and SD3 is left in float32 whatever was asked for.
            low_cpu_mem_usage=True,
            variant=profile.variant,
            use_safetensors=True,
            local_files_only=True,
            **_without_extras(kind) | dict(_known(profile, dtype)) | dict.fromkeys(parts),
        )
        pipeline.register_modules(**parts)
        for name, lacking in unread(pipeline):
            raise incomplete(profile.source.path / name, lacking)
        refuse_strange_tokenizers(pipeline.components, profile.source.path)
        return pipeline
    except ModelUnavailable:
        raise
    except Exception as error:
        place = profile.source.checkpoint or profile.source.path
        raise ModelUnavailable(f"{place} cannot be loaded: {error}") from error


def _known(profile: Profile, dtype: torch.dtype) -> Iterator[tuple[str, Any]]:
    """Parts whose class is one of the libraries' own, by their names."""
    pipeline = _pipeline(profile)
    wanted = inspect.signature(pipeline).parameters.keys() - _without_extras(pipeline)
    for name, value in index_of(profile).items():
        folder = profile.source.path / name
        ours = name in wanted and is_component(value) and folder.is_dir()
        # Of feature extractors and the like a folder may give names that only diffusers still understands.
        kind = getattr(_library(value[0]), value[1], None) if ours else None
        if not isinstance(kind, type):
            continue
        if issubclass(kind, torch.nn.Module):
            yield name, read_network(kind, folder, dtype, profile.variant)
        elif issubclass(kind, transformers.PreTrainedTokenizerBase | diffusers.SchedulerMixin):
            yield name, read_part(kind, folder)


def _pipeline(profile: Profile) -> Any:
    return getattr(diffusers, profile.family.pipelines[0])


def _library(name: str) -> Any:
    """A library, or the module of a pipeline that brings classes of its own (``kolors``)."""
    own = {"diffusers": diffusers, "transformers": transformers}
    return own.get(name) or getattr(diffusers.pipelines, name, None)


def strays(profile: Profile, dtype: torch.dtype) -> dict[str, Any]:
    """Parts whose class diffusers 0.42 no longer finds by itself, since it moved the pipeline's module."""
    module = import_module(_pipeline(profile).__module__)
    found = {}
    for name, value in index_of(profile).items():
        kind = _stray(module, *value) if is_component(value) else None
        if kind is not None:
            found[name] = read_network(kind, profile.source.path / name, dtype, profile.variant)
    return found


def _stray(module: ModuleType, library: str, kind: str) -> Any:
    """The class of a network that only the module of its pipeline knows; None for all others."""
    own = diffusers if library == "diffusers" else None
    if library == "transformers" or hasattr(own or diffusers.pipelines, kind if own else library):
        return None
    found = getattr(module, kind, None)
    return found if isinstance(found, type) and issubclass(found, torch.nn.Module) else None


def _absent(profile: Profile, kind: Any) -> dict[str, None]:
    """Parts of the pipeline that the folder says it goes without."""
    known = inspect.signature(kind).parameters
    return {
        name: None for name, value in index_of(profile).items() if value == [None, None] and name in known
    }


def _without_extras(kind: Any) -> dict[str, Any]:
    """Parts that do not paint are not loaded."""
    if "safety_checker" not in kind._optional_components:
        return {}
    return {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def _hush() -> None:
    """Progress bars and advice of the libraries are no matter for an operator's log."""
    for library in (diffusers.logging, transformers.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
