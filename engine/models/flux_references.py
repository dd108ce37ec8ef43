"""Reference pictures on FLUX.1, in the layers where text and picture have weights of their own.

As diffusers' FluxIPAdapterAttnProcessor has them, for the adapters of XLabs-AI/x-flux. No layers are known
that carry style alone: a style reference reaches all of them, as every other does.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import nn

from engine.models.references import STYLE_LAYER, References, Seen, State, attention, each_with_weight, heads


class FluxReferences(References):
    """Of FluxPipeline; what is not wanted is a black picture, as that pipeline has it."""

    def _encoded(self, pixels: torch.Tensor) -> Seen:
        side = pixels.shape[-1]
        black = self._pixels([Image.new("RGB", (side, side))])
        embeds = self._encoder(torch.cat([black, pixels])).image_embeds
        return self._projection(embeds[:1])[0], self._projection(embeds[1:].mean(0, keepdim=True))[0]

    def _attach(self, state: State, projection: nn.Module) -> None:
        lent = self._denoiser._convert_ip_adapter_attn_to_diffusers([state])
        for name, processor in lent.items():
            if isinstance(processor, nn.Module):
                layer = self._denoiser.get_submodule(name.removesuffix(".processor"))
                layer.set_processor(_Attend(layer.processor, processor).to(**self._place))


class _Attend(nn.Module):
    """The layer's own attention, and beside it what each row's references add with their weights."""

    def __init__(self, own: Any, lent: Any) -> None:
        super().__init__()
        self._own = own
        self.to_k_ip, self.to_v_ip = lent.to_k_ip[0], lent.to_v_ip[0]

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: Any = None,
        ip_hidden_states: torch.Tensor | None = None,
        ip_adapter_masks: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Picture (B, N, C) and text (B, L, C), and (B, N, C) that the block adds at its end."""
        result: tuple[torch.Tensor, ...] = self._own(
            attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb
        )
        if ip_hidden_states is None or ip_adapter_masks is None:
            return result
        query = attn.norm_q(heads(attn, attn.to_q(hidden_states)))
        added = torch.zeros_like(hidden_states)
        for tokens, weight in each_with_weight(ip_hidden_states, ip_adapter_masks, STYLE_LAYER):
            key, value = (heads(attn, layer(tokens)) for layer in (self.to_k_ip, self.to_v_ip))
            added = added + weight * attention(query, key, value)
        return *result, added
