"""Folder -> family, by the pipeline class that ``model_index.json`` names. Torch-free until one is loaded."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api import ModelInfo, ModelUnavailable
from engine.building import BUILDING
from engine.models.family import PIPELINES
from engine.profile import ModelSource, Profile, read_profile

if TYPE_CHECKING:
    import torch

    from engine.models.base import ModelFamily, OwnWay
    from engine.offload import Depot

log = logging.getLogger(__name__)
_Name = tuple[str, str]
"""Of a model in a number format."""
SHUNNED_S = 300.0
"""For which a device that could not load a model gets its jobs last: memory may be there again."""
LOADING_S = 5.0
"""What loading is said to take before anything was loaded."""


class Registry:
    """The models by name, read at once and loaded when first used.

    At most ``keep`` stay on the device, and no more than ``budget`` bytes of weights (0: no limit of its
    own), those that are in use aside; the longest unused go first: into the machine's memory, ``spare`` bytes
    of it (the longest unused leave that too), to come back without being read. One device's, one thread's.
    """

    def __init__(
        self,
        sources: Mapping[str, ModelSource],
        default: str | None = None,
        keep: int = 2,
        *,
        budget: int = 0,
        spare: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.profiles: dict[str, Profile] = {}
        self.faults: dict[str, ModelUnavailable] = {}
        self._keep, self._budget, self._spare = keep, budget, spare
        self.compile = "off"
        """How loaded models are compiled, see :mod:`engine.speed`."""
        self._clock = clock
        self._loaded: OrderedDict[_Name, ModelFamily] = OrderedDict()
        self._aside: OrderedDict[_Name, ModelFamily] = OrderedDict()
        self._copied: dict[_Name, None] = {}
        """Models on the device whose weights lie in the machine's memory besides."""
        self.departures = 0
        """How often a model has left the device."""
        self._sizes: dict[_Name, int] = {}
        self._seconds: dict[str, float] = {}
        self._failed: dict[str, float] = {}
        """When loading failed the last time."""
        self._depot: Depot | None = None
        self._rotations: dict[_Name, Any] = {}
        for name in sorted(sources, key=lambda name: name != default):
            self._look_at(name, sources[name])

    def _look_at(self, name: str, source: ModelSource) -> None:
        """Its profile, or what is wrong with it."""
        try:
            self.profiles[name] = read_profile(source, PIPELINES)
        except ModelUnavailable as fault:
            self.faults[name] = fault

    def for_another_device(self) -> Registry:
        """The same models, none of them loaded."""
        other = Registry({}, None, self._keep, budget=self._budget, spare=self._spare, clock=self._clock)
        other.profiles, other.faults, other.compile = self.profiles, self.faults, self.compile
        return other

    def limit(self, budget: int, spare: int) -> None:
        """Bytes of weights on the device and aside, once it is known what there is."""
        self._budget, self._spare = budget, spare

    def models(self) -> dict[str, ModelInfo]:
        """What can be painted with, the default first."""
        return {name: profile.info for name, profile in self.profiles.items()}

    def loading(self, name: str) -> float:
        """Seconds until a model could run: 0 where it is loaded, infinite where that failed in the last
        :data:`SHUNNED_S`, else what loading took before. Any thread may ask.
        """
        if any(name == loaded for loaded, _ in list(self._loaded)):
            return 0.0
        if self._clock() - self._failed.get(name, -math.inf) < SHUNNED_S:
            return math.inf
        known = self._seconds.copy()
        return known.get(name, max(known.values(), default=LOADING_S))

    def load(
        self, name: str, device: torch.device, dtype: torch.dtype, in_use: Collection[str] = ()
    ) -> ModelFamily:
        """The model, from memory or disk; the longest unused others make room. Raises ModelUnavailable."""
        key = (name, str(dtype))
        if key not in self._loaded:
            began = self._clock()
            self._make_room(self._size(key), in_use)
            try:
                self._loaded[key] = self._brought(key) or self._read(key, device, dtype)
            except Exception:
                self._failed[name] = self._clock()
                raise
            self._failed.pop(name, None)
            self._seconds[name] = self._clock() - began
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def set_aside(self, in_use: Collection[str] = (), begun: Collection[str] = ()) -> bool:
        """The longest unused model leaves the device; False when none can. Those of jobs that have ``begun``
        and wait go last, and are not dropped: their jobs go on with the same objects.
        """
        free = [key for key in self._loaded if key[0] not in in_use]
        for key in sorted(free, key=lambda key: key[0] in begun):
            if self._room_aside(key, {*in_use, *begun}):
                log.info("model %s leaves the device for the machine's memory", key[0])
                self._loaded[key].forget()
                self._put_down(key, self._loaded[key])
                self._copied.pop(key, None)
                self._aside[key] = self._loaded.pop(key)
            elif key[0] not in begun:
                self._drop(key, self._loaded.pop(key))
            else:
                continue
            self.departures += 1
            return True
        return False

    def rotate(self, family: ModelFamily | OwnWay, kept: Collection[str] = ()) -> bool:
        """From now on only the part at work of this model is on the device; False when it was so already, or
        where the memory aside does not hold it beside the models that are ``kept``.
        """
        from engine.offload import Rotation

        key = next((key for key, loaded in self._loaded.items() if loaded is family), None)
        if key is None or key in self._rotations or not self._room_aside(key, kept):
            return False
        assert self._depot is not None
        log.warning("model %s does not fit on the device: its parts take turns there from now on", key[0])
        self._rotations[key] = Rotation(family, self._depot)
        self._copied.pop(key, None)
        return True

    def _room_aside(self, key: _Name, kept: Collection[str]) -> bool:
        """Whether the machine's memory holds this model too. Copies of what is on the device leave it for
        that, then the longest unused models that need not be ``kept``.
        """
        from engine.offload import parts_of

        if self._depot is None or self._size(key) > self._spare:
            return False
        while sum(map(self._size, {*self._aside, *self._copied, *self._rotations, key})) > self._spare:
            copied = next((other for other in self._copied if other != key), None)
            unused = next((other for other in self._aside if other[0] not in kept), None)
            if copied is not None:
                self._depot.forget(parts_of(self._loaded[copied]))
                del self._copied[copied]
            elif unused is not None:
                self._drop(unused, self._aside.pop(unused))
            else:
                return False
        return True

    def _read(self, key: _Name, device: torch.device, dtype: torch.dtype) -> ModelFamily:
        from engine.offload import Depot, size_of
        from engine.speed import tune

        profile = self.profiles[key[0]]
        loader = getattr(import_module(profile.family.module), profile.family.loader)
        with BUILDING:
            family: ModelFamily = loader(profile, device, dtype)
        tune(family, self.compile)
        self._depot = self._depot or Depot(device)
        self._sizes[key] = size_of(family)
        return family

    def _brought(self, key: _Name) -> ModelFamily | None:
        """Back from the machine's memory."""
        from engine.offload import parts_of

        family = self._aside.get(key)
        if family is None or self._depot is None:
            return None
        if key not in self._rotations:
            try:
                self._depot.pick_up(parts_of(family))
            except Exception:
                # Half of it may be there already; it stays aside as a whole.
                self._depot.put_down(parts_of(family))
                raise
            self._copied[key] = None
        del self._aside[key]
        return family

    def _put_down(self, key: _Name, family: ModelFamily) -> None:
        from engine.offload import parts_of

        if key in self._rotations:
            self._rotations[key].put_down()
        elif self._depot is not None:
            self._depot.put_down(parts_of(family))

    def _drop(self, key: _Name, family: ModelFamily) -> None:
        from engine.offload import parts_of

        self._rotations.pop(key, None)
        self._copied.pop(key, None)
        if self._depot is not None:
            self._depot.forget(parts_of(family))

    def _make_room(self, size: int, in_use: Collection[str]) -> None:
        while self._loaded and self._crowded(size) and self.set_aside(in_use):
            pass

    def _crowded(self, size: int) -> bool:
        held = sum(map(self._size, self._loaded))
        return len(self._loaded) + 1 > self._keep or (self._budget > 0 and held + size > self._budget)

    def _size(self, key: _Name) -> int:
        """Bytes of weights; before it was loaded, those of its files."""
        return self._sizes.get(key) or self.weight(key[0])

    def weight(self, name: str) -> int:
        """Bytes of a model's files."""
        source = self.profiles[name].source
        return _file_sizes(source.checkpoint or source.path)


@cache
def _file_sizes(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*.safetensors")
    return sum(file.stat().st_size for file in files)
