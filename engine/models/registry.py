"""Folder -> family, by the pipeline class that ``model_index.json`` names. Torch-free until one is loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from engine.api import ModelInfo, ModelUnavailable
from engine.models.family import PIPELINES
from engine.profile import ModelSource, Profile, read_profile

if TYPE_CHECKING:
    import torch

    from engine.models.base import ModelFamily


class Registry:
    """The models by name, read at once and loaded when first used; at most ``keep`` idle ones stay."""

    def __init__(self, sources: Mapping[str, ModelSource], default: str | None = None, keep: int = 2) -> None:
        self.profiles: dict[str, Profile] = {}
        self.faults: dict[str, ModelUnavailable] = {}
        self._keep = keep
        self._loaded: OrderedDict[str, ModelFamily] = OrderedDict()
        for name in sorted(sources, key=lambda name: name != default):
            try:
                self.profiles[name] = read_profile(sources[name], PIPELINES)
            except ModelUnavailable as fault:
                self.faults[name] = fault
            except (
                TypeError,
                ValueError,
                AttributeError,
                LookupError,
                ArithmeticError,
                RecursionError,
            ) as fault:
                # JSON of any shape may stand in a folder; one that makes no sense must not stop the others.
                sentence = f"The files of {sources[name].path} make no sense together ({fault!r})."
                self.faults[name] = ModelUnavailable(sentence)

    def models(self) -> dict[str, ModelInfo]:
        """What can be painted with, the default first."""
        return {name: profile.info for name, profile in self.profiles.items()}

    def load(
        self, name: str, device: torch.device, dtype: torch.dtype, in_use: Collection[str] = ()
    ) -> ModelFamily:
        """The model, from memory or from disk; the longest unused others leave. Raises ModelUnavailable."""
        if name not in self._loaded:
            self._make_room(in_use)
            profile = self.profiles[name]
            loader = getattr(import_module(profile.family.module), profile.family.loader)
            self._loaded[name] = loader(profile, device, dtype)
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _make_room(self, in_use: Collection[str]) -> None:
        idle = [name for name in self._loaded if name not in in_use]
        for name in idle[: max(0, len(self._loaded) + 1 - self._keep)]:
            del self._loaded[name]
