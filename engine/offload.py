"""Models between a device and the machine's own memory, where they wait without being read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

HOME = torch.device("cpu")


def parts_of(family: Any) -> list[torch.nn.Module]:
    """The networks of a loaded model, and those that it has read beside its pipeline."""
    components = [*family.pipeline.components.values(), *getattr(family, "beside", ())]
    return [part for part in components if isinstance(part, torch.nn.Module)]


def size_of(family: Any) -> int:
    """Bytes of a loaded model's weights, and of the files that it has yet to read."""
    held = sum(tensor.nbytes for part in parts_of(family) for tensor in _tensors(part))
    return held + int(getattr(family, "unread", 0))


class Depot:
    """Moves weights off a device and back as fast as the bus allows: through page-locked memory, and without
    copying back what a device only reads.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: Any = WeakTensorKeyDictionary()
        """What lies here of a tensor, and its version when it was copied."""

    def put_down(self, parts: Iterable[torch.nn.Module]) -> None:
        """Into the machine's memory; the device's is free then."""
        with torch.inference_mode(False), torch.no_grad():
            for tensor in _each(parts):
                tensor.data = self._kept(tensor)
        self._wait()

    def pick_up(self, parts: Iterable[torch.nn.Module]) -> None:
        """Onto the device; done when this returns."""
        with torch.inference_mode(False), torch.no_grad():
            for tensor in _each(parts):
                tensor.data = tensor.data.to(self._device, non_blocking=True)
        self._wait()

    def forget(self, parts: Iterable[torch.nn.Module]) -> None:
        """Let go of copies."""
        for tensor in _each(parts):
            self._copies.pop(tensor, None)

    def _kept(self, tensor: torch.Tensor) -> torch.Tensor:
        copy: torch.Tensor
        version, copy = self._copies.get(tensor, (-1, tensor))
        if version != tensor._version or copy.dtype != tensor.dtype:
            # Straight into page-locked memory: by way of other memory it takes twice as long.
            copy = torch.empty_like(tensor.data, device=HOME, pin_memory=self._device.type == "cuda")
            copy.copy_(tensor.data, non_blocking=True)
        self._copies[tensor] = (tensor._version, copy)
        return copy

    def _wait(self) -> None:
        """Until what was launched is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


class Rotation:
    """Of a model's parts only the one at work is on the device: slow, where nothing else fits."""

    def __init__(self, family: Any, depot: Depot) -> None:
        self._depot = depot
        self._family = family
        self._parts: list[torch.nn.Module] = []
        self._here: torch.nn.Module | None = None
        self._take_in()

    def _take_in(self) -> None:
        """What was read since, such as the encoder of the first reference picture, takes turns too."""
        known = {id(part) for part in self._parts}
        fresh = [part for part in parts_of(self._family) if id(part) not in known]
        self._depot.put_down(fresh)
        self._parts += fresh
        for part in fresh:
            for module in (part, *part.children()):  # an autoencoder is called by its encoder and decoder
                module.register_forward_pre_hook(partial(self._bring, part))

    def _bring(self, part: torch.nn.Module, *_: object) -> None:
        if self._here is part:
            return
        self._take_in()
        if self._here is not None:
            self._depot.put_down([self._here])
        self._depot.pick_up([part])
        self._here = part

    def put_down(self) -> None:
        """All of it."""
        self._take_in()
        self._depot.put_down(self._parts)
        self._here = None


def _tensors(part: torch.nn.Module) -> Iterator[torch.Tensor]:
    yield from part.parameters()
    yield from part.buffers()


def _each(parts: Iterable[torch.nn.Module]) -> Iterator[torch.Tensor]:
    """Every tensor once, though parts may share some."""
    seen: set[int] = set()
    for part in parts:
        for tensor in _tensors(part):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield tensor
