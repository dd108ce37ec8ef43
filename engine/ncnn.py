"""The few ncnn layers of convolutional networks in torch; reads ``.param`` (graph) and ``.bin`` (weights).

Format: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure. A line of the graph is
``type name inputs outputs blobs... key=value...``; weights lie in its order, a four-byte tag before each.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from engine.api import ModelUnavailable

MAGIC = "7767517"
HALF = 0x01306B47
ACTIVATION, SLOPE, COEFFICIENTS = 9, -23310, -23301


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a ``.param`` file."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[int, str]

    def integer(self, key: int, default: int = 0) -> int:
        """Option ``key`` as a whole number."""
        return int(float(self.options.get(key, default)))

    def numbers(self, key: int) -> list[float]:
        """Option ``key`` as a list; ncnn writes its length first."""
        return [float(part) for part in self.options[key].split(",")[1:]]


class _Weights:
    """A cursor over a ``.bin`` file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = path.read_bytes()
        self._at = 0

    def tagged(self, count: int) -> torch.Tensor:
        """``count`` numbers behind their tag: float16 padded to four bytes, or float32."""
        (tag,) = struct.unpack("<I", self._take(4))
        if tag == HALF:
            raw = self._take((2 * count + 3) // 4 * 4)[: 2 * count]
            return torch.from_numpy(np.frombuffer(raw, "<f2").astype(np.float32))
        if tag != 0:
            raise ModelUnavailable(f"{self._path} stores weights in a way that is not understood ({tag:#x}).")
        return self.plain(count)

    def plain(self, count: int) -> torch.Tensor:
        """``count`` float32 numbers."""
        return torch.from_numpy(np.frombuffer(self._take(4 * count), "<f4").copy())

    def end(self) -> None:
        """ModelUnavailable when bytes are left over."""
        if self._at != len(self._data):
            raise ModelUnavailable(f"{self._path} is longer than its graph says; install its package again.")

    def _take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise ModelUnavailable(f"{self._path} is cut short; install its package again.")
        self._at += size
        return piece


class Network(nn.Module):
    """A graph of ncnn layers as a module: (B, 3, H, W) in, the blob ``output`` out."""

    def __init__(self, layers: list[Layer], modules: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self._layers = layers
        self._uses = Counter(name for layer in layers for name in layer.inputs)
        self._learned = nn.ModuleDict({str(index): module for index, module in modules.items()})

    @classmethod
    def read(cls, stem: Path) -> Network:
        """Read ``stem.param`` and ``stem.bin``; ModelUnavailable when they do not fit each other."""
        try:
            layers = _parse(stem.with_name(stem.name + ".param"))
            weights = _Weights(stem.with_name(stem.name + ".bin"))
        except OSError as error:
            raise ModelUnavailable(f"{error.filename} cannot be read; install its package again.") from error
        readers = {"Convolution": _convolution, "PReLU": _prelu}
        modules = {
            index: readers[layer.kind](layer, weights)
            for index, layer in enumerate(layers)
            if layer.kind in readers
        }
        weights.end()
        return cls(layers, modules)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Run the layers in order; a blob is let go after its last use."""
        blobs: dict[str, torch.Tensor] = {}
        left = Counter(self._uses)
        for index, layer in enumerate(self._layers):
            inputs = [blobs[name] for name in layer.inputs] or [pixels]
            result = self._perform(index, layer, inputs)
            blobs.update(dict.fromkeys(layer.outputs, result))
            left.subtract(layer.inputs)
            for name in layer.inputs:
                if not left[name]:
                    blobs.pop(name, None)
        return blobs["output"]

    def _perform(self, index: int, layer: Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
        if str(index) in self._learned:
            result: torch.Tensor = self._learned[str(index)](inputs[0])
            return result
        return _OPERATIONS[layer.kind](layer, inputs)


def _parse(path: Path) -> list[Layer]:
    lines = path.read_text(encoding="ascii").splitlines()
    if lines[0].strip() != MAGIC:
        raise ModelUnavailable(f"{path} is not an ncnn graph.")
    return [_layer(line.split()) for line in lines[2:] if line.strip()]


def _layer(words: list[str]) -> Layer:
    ins, outs = int(words[2]), int(words[3])
    blobs, options = words[4 : 4 + ins + outs], words[4 + ins + outs :]
    pairs = (option.split("=") for option in options)
    return Layer(words[0], tuple(blobs[:ins]), tuple(blobs[ins:]), {int(key): value for key, value in pairs})


def _convolution(layer: Layer, weights: _Weights) -> nn.Module:
    channels, kernel, size = layer.integer(0), layer.integer(1), layer.integer(6)
    convolution = nn.Conv2d(
        size // (channels * kernel**2), channels, kernel, layer.integer(3, 1), layer.integer(4)
    )
    assert convolution.bias is not None
    convolution.weight.data = weights.tagged(size).view_as(convolution.weight)
    if layer.integer(5):
        convolution.bias.data = weights.plain(channels)
    if layer.integer(ACTIVATION) == 2:
        return nn.Sequential(convolution, nn.LeakyReLU(layer.numbers(SLOPE)[0], inplace=True))
    return convolution


def _prelu(layer: Layer, weights: _Weights) -> nn.Module:
    activation = nn.PReLU(layer.integer(0))
    activation.weight.data = weights.plain(layer.integer(0))
    return activation


def _resize(layer: Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
    mode = {1: "nearest", 2: "bilinear", 3: "bicubic"}[layer.integer(0)]
    return functional.interpolate(inputs[0], scale_factor=layer.integer(1), mode=mode)


def _weighted_sum(layer: Layer, inputs: list[torch.Tensor]) -> torch.Tensor:
    first, second = layer.numbers(COEFFICIENTS)
    return inputs[0] * first + inputs[1] * second


_OPERATIONS: Mapping[str, Callable[[Layer, list[torch.Tensor]], torch.Tensor]] = {
    "Input": lambda layer, inputs: inputs[0],
    "Split": lambda layer, inputs: inputs[0],
    "Concat": lambda layer, inputs: torch.cat(inputs, dim=1),
    "PixelShuffle": lambda layer, inputs: functional.pixel_shuffle(inputs[0], layer.integer(0)),
    "Interp": _resize,
    "BinaryOp": lambda layer, inputs: inputs[0] + inputs[1],
    "Eltwise": _weighted_sum,
}
