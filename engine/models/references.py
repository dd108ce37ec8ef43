"""Reference pictures through an IP-Adapter, each row of a batch with its own.

IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models (Ye et al. 2023,
arXiv:2308.06721), as diffusers' ``load_ip_adapter`` and ``set_ip_adapter_scale`` have it. What is done with a
picture's tokens in attention is each architecture's own.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from engine.api import EngineError, GenerationSpec, ReferenceKind
from engine.building import BUILDING
from engine.ip_adapter import AdapterFiles, part_of
from engine.masks import REFERENCE, opened
from engine.models.networks import read_network
from engine.sentence import say

log = logging.getLogger(__name__)
TOKENS, WEIGHTS = "references", "reference weights"
"""Names in ``Conditioning.extra``: (B, R, T, D), and (B, R, 2) for layers of style and for others."""
STYLE_LAYER, OTHER_LAYER = 0, 1
"""Places of those two weights."""
KEPT = 64
BLEND_ALONE, BLEND_BESIDE_TEXT = 1.0, 0.6
Seen = tuple[torch.Tensor, torch.Tensor]
"""(T, D) of nothing, for what is not wanted, and of the picture."""
State = Mapping[str, Mapping[str, torch.Tensor]]
"""An adapter's weights, ``image_proj`` and ``ip_adapter``, by diffusers' names."""


class References(ABC):
    """An IP-Adapter and its image encoder; read from ``files`` when the first picture comes."""

    def __init__(self, denoiser: Any, files: AdapterFiles, device: torch.device, dtype: torch.dtype) -> None:
        self._denoiser = denoiser
        self._files = files
        self._place: dict[str, Any] = {"device": device, "dtype": dtype}
        self._encoder: Any = None
        self._projection: Any = None
        self._processor: Any = None
        self._seen: OrderedDict[tuple[bytes, ...], Seen] = OrderedDict()

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The networks that were read and are no part of the denoiser."""
        return () if self._projection is None else (self._encoder, self._projection)

    @property
    def unread(self) -> int:
        """Bytes of the files, until they are read."""
        if self._projection is not None:
            return 0
        files = [self._files.weights, *self._files.encoder.glob("*.safetensors")]
        return sum(file.stat().st_size for file in files)

    def forget(self) -> None:
        """What was seen in pictures leaves the device."""
        self._seen.clear()

    @torch.inference_mode()
    def told(self, spec: GenerationSpec, rows: int, guided: bool) -> dict[str, torch.Tensor]:
        """The references of ``spec`` for each of the rows; the first is what is not wanted, where ``spec`` is
        guided. Nothing where there are none.
        """
        wanted = _wanted(spec)
        if not wanted:
            return {}
        self._ready()
        seen = [self._look(pictures) for pictures, _ in wanted]
        nothing, something = (torch.stack([each[side] for each in seen]) for side in (0, 1))
        sides = [nothing if guided and not row else something for row in range(rows)]
        weights = torch.tensor([pair for _, pair in wanted], **self._place)
        return {TOKENS: torch.stack(sides), WEIGHTS: weights.expand(rows, -1, -1)}

    def attended(self, told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Keywords for the attention of rows that were ``told``; none where no row has a reference."""
        if TOKENS not in told:
            return {}
        # Only these two names pass the other layers without complaint.
        return {"ip_hidden_states": told[TOKENS], "ip_adapter_masks": told[WEIGHTS]}

    def _look(self, pictures: Sequence[bytes]) -> Seen:
        """What the adapter makes of a picture, or of the mean of several; kept."""
        key = tuple(hashlib.sha256(data).digest() for data in pictures)
        if key not in self._seen:
            pixels = self._pixels([opened(data, REFERENCE) for data in pictures])
            self._seen[key] = self._encoded(pixels)
        self._seen.move_to_end(key)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        return self._seen[key]

    def _pixels(self, images: Sequence[Image.Image]) -> torch.Tensor:
        pixels: torch.Tensor = self._processor(images, return_tensors="pt").pixel_values
        return pixels.to(**self._place)

    @abstractmethod
    def _encoded(self, pixels: torch.Tensor) -> Seen:
        """Of the mean of pictures, (n, 3, S, S) as the encoder takes them."""

    @abstractmethod
    def _attach(self, state: State, projection: nn.Module) -> None:
        """The adapter's layers become part of the denoiser, which paints as before without references."""

    def _vision(self) -> tuple[Any, Callable[[int], Any]]:
        """Class of the encoder, and what makes its processor for a side in pixels."""
        # Not before it is wanted: to name them takes seconds.
        from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

        return CLIPVisionModelWithProjection, lambda side: CLIPImageProcessorPil(size=side, crop_size=side)

    def _ready(self) -> None:
        if self._projection is not None:
            return
        try:
            self._read()
        except Exception as error:
            log.warning("%s cannot be loaded: %s", self._files.weights, error)
            raise EngineError(
                say(
                    "The adapter for reference pictures cannot be used with this model; leave them out, or "
                    "choose another model."
                )
            ) from error

    def _read(self) -> None:
        kind, processor = self._vision()
        with BUILDING, torch.inference_mode(False):
            state = _sorted(load_file(self._files.weights))
            encoder = read_network(kind, self._files.encoder, self._place["dtype"])
            projection = self._denoiser._convert_ip_adapter_image_proj_to_diffusers(
                state["image_proj"], low_cpu_mem_usage=False
            )
            projection.to(**self._place).eval()
            self._attach(state, projection)
        self._processor = processor(encoder.config.image_size)
        self._encoder = encoder.to(**self._place).eval()
        self._projection = projection


class Borrower:
    """What loaded models share that may have an adapter: its networks, and what it saw."""

    _references: References | None = None

    @property
    def beside(self) -> tuple[nn.Module, ...]:
        """Networks that are not the pipeline's."""
        return self._references.parts if self._references else ()

    @property
    def unread(self) -> int:
        """Bytes of files that are read when they are first needed."""
        return self._references.unread if self._references else 0

    def forget(self) -> None:
        """Reference pictures."""
        if self._references:
            self._references.forget()

    def _attended(self, told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Keywords for the attention of rows that were ``told`` of references."""
        return self._references.attended(told) if self._references else {}

    def _lent(self, spec: GenerationSpec, rows: int, guided: bool) -> dict[str, torch.Tensor]:
        """What each of the rows is told of the references of ``spec``."""
        return self._references.told(spec, rows, guided) if self._references else {}


def _wanted(spec: GenerationSpec) -> list[tuple[tuple[bytes, ...], tuple[float, float]]]:
    """Pictures that are seen as one, with their weight in the layers of style and in the others."""
    found: list[tuple[tuple[bytes, ...], tuple[float, float]]] = [
        ((each.data,), (each.weight, 0.0 if each.kind is ReferenceKind.STYLE else each.weight))
        for each in spec.references
    ]
    if spec.blend:
        weight = BLEND_BESIDE_TEXT if spec.prompt.strip() else BLEND_ALONE
        found.append((spec.blend, (weight, weight)))
    return found


def _sorted(state: Mapping[str, torch.Tensor]) -> State:
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in state.items():
        part, name = part_of(key)
        if part in parts:
            parts[part][name] = tensor
    return parts


def each_with_weight(
    tokens: torch.Tensor, weights: torch.Tensor, place: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of (B, R, T, D) one reference after another, (B, T, D), with its rows' weights (B, 1, 1)."""
    for each, weight in zip(tokens.unbind(1), weights[:, :, place].unbind(1), strict=True):
        yield each, weight.view(-1, 1, 1)


def heads(attn: Any, states: torch.Tensor) -> torch.Tensor:
    """(B, N, C) as (B, H, N, C / H)."""
    return states.view(len(states), -1, attn.heads, states.shape[-1] // attn.heads).transpose(1, 2)


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """(B, N, C) of queries, keys and values by heads."""
    return scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
