"""Reference pictures on a UNet, in the layers that look at the text.

A style reference reaches only those that carry style (InstantStyle, Wang et al. 2024, arXiv:2404.02733).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import ImageProjection
from torch import nn

from engine.models.references import (
    OTHER_LAYER,
    STYLE_LAYER,
    References,
    Seen,
    State,
    attention,
    each_with_weight,
    heads,
)


class UNetReferences(References):
    """Of Stable Diffusion, SDXL and Kolors; the projection's kind is told by the file."""

    def _encoded(self, pixels: torch.Tensor) -> Seen:
        if isinstance(self._projection, ImageProjection):
            seen = self._encoder(pixels).image_embeds.mean(0, keepdim=True)
            nothing = torch.zeros_like(seen)
        else:
            both = torch.cat([pixels, torch.zeros_like(pixels[:1])])
            hidden = self._encoder(both, output_hidden_states=True).hidden_states[-2]
            seen, nothing = hidden[:-1].mean(0, keepdim=True), hidden[-1:]
        return self._projection(nothing)[0], self._projection(seen)[0]

    def _attach(self, state: State, projection: nn.Module) -> None:
        """The weights are numbered 1, 3, 5 ... in the order in which diffusers lists the layers."""
        names = [name for name in self._denoiser.attn_processors if not name.endswith("attn1.processor")]
        style = style_layers(names)
        for number, name in enumerate(names):
            key, value = (
                state["ip_adapter"][f"{2 * number + 1}.to_{letter}_ip.weight"].to(**self._place)
                for letter in "kv"
            )
            layer = self._denoiser.get_submodule(name.removesuffix(".processor"))
            layer.set_processor(_Attend(key, value, STYLE_LAYER if name in style else OTHER_LAYER))


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

    def __init__(self, key: torch.Tensor, value: torch.Tensor, place: int) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = (_linear(weight) for weight in (key, value))
        self._place = place
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
        query = heads(attn, attn.to_q(hidden_states))
        if attention_mask is not None:
            length, batch = encoder_hidden_states.shape[1], encoder_hidden_states.shape[0]
            prepared = attn.prepare_attention_mask(attention_mask, length, batch)
            attention_mask = prepared.view(batch, attn.heads, -1, prepared.shape[-1])
        key, value = (heads(attn, layer(encoder_hidden_states)) for layer in (attn.to_k, attn.to_v))
        result = attention(query, key, value, attention_mask)
        if ip_hidden_states is not None and ip_adapter_masks is not None:
            for tokens, weight in each_with_weight(ip_hidden_states, ip_adapter_masks, self._place):
                key, value = (heads(attn, layer(tokens)) for layer in (self.to_k_ip, self.to_v_ip))
                result = result + weight * attention(query, key, value)
        projected: torch.Tensor = attn.to_out[1](attn.to_out[0](result))
        return projected


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer
