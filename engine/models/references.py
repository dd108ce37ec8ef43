"""Reference pictures through an IP-Adapter on a UNet, each row of a batch with its own.

IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models (Ye et al. 2023,
arXiv:2308.06721), as diffusers' ``load_ip_adapter`` and ``set_ip_adapter_scale`` have it. A style reference
reaches only the layers that carry style (InstantStyle, Wang et al. 2024, arXiv:2404.02733).
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import ImageProjection
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from engine.api import EngineError, GenerationSpec, ReferenceKind
from engine.conditioning import Conditioning
from engine.ip_adapter import AdapterFiles
from engine.masks import REFERENCE, opened
from engine.sentence import say

log = logging.getLogger(__name__)
TOKENS, WEIGHTS = "references", "reference weights"
"""Names in ``Conditioning.extra``: (B, R, T, D), and (B, R, 2) for layers of style and for others."""
KEPT = 64
BLEND_ALONE, BLEND_BESIDE_TEXT = 1.0, 0.6
_Seen = tuple[torch.Tensor, torch.Tensor]
"""Tokens (T, D) of nothing, for what is not wanted, and those of the picture."""


def attended(cond: Conditioning) -> dict[str, Any]:
    """``cross_attention_kwargs`` of a UNet for these rows, as :class:`_Attend` takes them."""
    if TOKENS not in cond.extra:
        return {}
    # Only these two names pass a UNet's other layers without complaint.
    return {"ip_hidden_states": cond.extra[TOKENS], "ip_adapter_masks": cond.extra[WEIGHTS]}


class References:
    """An IP-Adapter and its image encoder; read from ``files`` when the first picture comes."""

    def __init__(self, unet: Any, files: AdapterFiles, device: torch.device, dtype: torch.dtype) -> None:
        self._unet = unet
        self._files = files
        self._place: dict[str, Any] = {"device": device, "dtype": dtype}
        self._encoder: Any = None
        self._projection: Any = None
        self._processor: Any = None
        self._seen: OrderedDict[tuple[bytes, ...], _Seen] = OrderedDict()

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The networks that were read and are no part of the UNet."""
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

    def _look(self, pictures: Sequence[bytes]) -> _Seen:
        """What the adapter makes of a picture, or of the mean of several; kept."""
        key = tuple(hashlib.sha256(data).digest() for data in pictures)
        if key not in self._seen:
            self._seen[key] = self._encoded(pictures)
        self._seen.move_to_end(key)
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        return self._seen[key]

    def _encoded(self, pictures: Sequence[bytes]) -> _Seen:
        images = [opened(data, REFERENCE) for data in pictures]
        pixels = self._processor(images, return_tensors="pt").pixel_values.to(**self._place)
        if isinstance(self._projection, ImageProjection):
            seen = self._encoder(pixels).image_embeds.mean(0, keepdim=True)
            nothing = torch.zeros_like(seen)
        else:
            both = torch.cat([pixels, torch.zeros_like(pixels[:1])])
            hidden = self._encoder(both, output_hidden_states=True).hidden_states[-2]
            seen, nothing = hidden[:-1].mean(0, keepdim=True), hidden[-1:]
        return self._projection(nothing)[0], self._projection(seen)[0]

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
        # Not before it is wanted: to name them makes transformers complain that there is no torchvision.
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        state = _parts(load_file(self._files.weights))
        with torch.inference_mode(False):
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                self._files.encoder,
                dtype=self._place["dtype"],
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
            )
            projection = self._unet._convert_ip_adapter_image_proj_to_diffusers(
                state["image_proj"], low_cpu_mem_usage=False
            )
            _attach(self._unet, state["ip_adapter"], self._place)
        side = encoder.config.image_size
        self._processor = CLIPImageProcessor(size=side, crop_size=side)
        self._encoder = encoder.to(**self._place).eval()
        self._projection = projection.to(**self._place).eval()


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


def _parts(state: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in state.items():
        part, _, rest = key.partition(".")
        if part in parts:
            parts[part][rest] = tensor
    return parts


def _attach(unet: Any, weights: Mapping[str, torch.Tensor], place: Mapping[str, Any]) -> None:
    """New processors for all layers that look at the text; their weights are numbered 1, 3, 5 ... in the
    order in which diffusers lists them.
    """
    names = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    style = style_layers(names)
    for number, name in enumerate(names):
        key, value = (weights[f"{2 * number + 1}.to_{letter}_ip.weight"].to(**place) for letter in "kv")
        layer = unet.get_submodule(name.removesuffix(".processor"))
        layer.set_processor(_Attend(key, value, int(name not in style)))


def style_layers(names: Sequence[str]) -> frozenset[str]:
    """Those of a UNet's layers that carry style rather than layout: InstantStyle's one block where there is
    one (SDXL); elsewhere all but the coarsest on the way down and up, which hold the layout.
    """
    published = frozenset(name for name in names if name.startswith("up_blocks.0.attentions.1."))
    if published:
        return published
    coarse = (
        max((name.split(".")[1] for name in names if name.startswith("down_blocks.")), default=""),
        min((name.split(".")[1] for name in names if name.startswith("up_blocks.")), default=""),
    )
    layout = (f"down_blocks.{coarse[0]}.", f"up_blocks.{coarse[1]}.")
    return frozenset(name for name in names if not name.startswith(layout))


class _Attend(nn.Module):
    """AttnProcessor2_0, and beside the text each row's references with its weights."""

    def __init__(self, key: torch.Tensor, value: torch.Tensor, side: int) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = (_linear(weight) for weight in (key, value))
        self._side = side
        """Which of a reference's two weights counts here."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
        ip_hidden_states: torch.Tensor | None = None,
        ip_adapter_masks: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, N, C) of a transformer block, whose attention has neither norms nor a residual of its own."""
        query = _heads(attn, attn.to_q(hidden_states))
        if attention_mask is not None:
            length, batch = encoder_hidden_states.shape[1], encoder_hidden_states.shape[0]
            prepared = attn.prepare_attention_mask(attention_mask, length, batch)
            attention_mask = prepared.view(batch, attn.heads, -1, prepared.shape[-1])
        key, value = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        result = _attention(attn, query, key, value, attention_mask)
        if ip_hidden_states is not None and ip_adapter_masks is not None:
            for tokens, weight in zip(ip_hidden_states.unbind(1), ip_adapter_masks.unbind(1), strict=True):
                seen = _attention(attn, query, self.to_k_ip(tokens), self.to_v_ip(tokens), None)
                result = result + weight[:, self._side].view(-1, 1, 1) * seen
        projected: torch.Tensor = attn.to_out[1](attn.to_out[0](result))
        return projected


def _heads(attn: Attention, states: torch.Tensor) -> torch.Tensor:
    return states.view(len(states), -1, attn.heads, states.shape[-1] // attn.heads).transpose(1, 2)


def _attention(
    attn: Attention, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    mixed = scaled_dot_product_attention(query, _heads(attn, key), _heads(attn, value), attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer
