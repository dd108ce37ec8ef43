"""Reference pictures on Stable Diffusion 3.x, whose adapters see a picture anew at each timestep.

As diffusers' SD3IPAdapterJointAttnProcessor2_0 has them, for the adapters of InstantX. No layers are known
that carry style alone: a style reference reaches all of them, as every other does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from engine.models.references import (
    STYLE_LAYER,
    TOKENS,
    WEIGHTS,
    References,
    Seen,
    State,
    attention,
    each_with_weight,
    heads,
)


class SD3References(References):
    """Of StableDiffusion3Pipeline: SigLIP's patches are kept, and projected within the transformer."""

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """The encoder; the projection is a part of the transformer."""
        return super().parts[:1]

    def attended(self, told: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The transformer takes patches, and makes tokens of them."""
        if TOKENS not in told:
            return {}
        return {"ip_adapter_image_embeds": told[TOKENS], "ip_adapter_masks": told[WEIGHTS]}

    def _vision(self) -> tuple[Any, Callable[[int], Any]]:
        from transformers import SiglipImageProcessorPil, SiglipVisionModel

        return SiglipVisionModel, lambda side: SiglipImageProcessorPil(size={"height": side, "width": side})

    def _encoded(self, pixels: torch.Tensor) -> Seen:
        seen = self._encoder(pixels, output_hidden_states=True).hidden_states[-2].mean(0)
        return seen.new_zeros(1).expand_as(seen), seen

    def _attach(self, state: State, projection: nn.Module) -> None:
        lent = self._denoiser._convert_ip_adapter_attn_to_diffusers(state["ip_adapter"])
        for name, processor in lent.items():
            layer = self._denoiser.get_submodule(name.removesuffix(".processor"))
            layer.set_processor(_Attend(processor).to(**self._place))
        self._denoiser.image_proj = _EachPicture(projection)


class _EachPicture(nn.Module):
    """The projection of several pictures to a row."""

    def __init__(self, projection: nn.Module) -> None:
        super().__init__()
        self._projection = projection

    def forward(self, patches: torch.Tensor, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (B, R, T, D) of patches (B, R, P, E) at timesteps (B,), and these embedded, (B, F)."""
        rows, count = patches.shape[:2]
        tokens, embedded = self._projection(patches.flatten(0, 1), timesteps.repeat_interleave(count))
        return tokens.unflatten(0, (rows, count)), embedded[::count]


class _Attend(nn.Module):
    """JointAttnProcessor2_0, and beside it each row's references with its weights."""

    def __init__(self, lent: Any) -> None:
        super().__init__()
        self._lent = lent

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        ip_hidden_states: torch.Tensor | None = None,
        ip_adapter_masks: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Picture (B, N, C), and where there is text (B, L, C) that too."""
        own = tuple(heads(attn, layer(hidden_states)) for layer in (attn.to_q, attn.to_k, attn.to_v))
        result, text = _joint(attn, own, encoder_hidden_states)
        if ip_hidden_states is not None and ip_adapter_masks is not None:
            for tokens, weight in each_with_weight(ip_hidden_states, ip_adapter_masks, STYLE_LAYER):
                result = result + weight * self._beside(attn, own, self._lent.norm_ip(tokens, temb=temb))
        projected: torch.Tensor = attn.to_out[1](attn.to_out[0](result))
        return projected if text is None else (projected, text)

    def _beside(self, attn: Any, own: tuple[torch.Tensor, ...], tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, C): the picture looks at itself and at a reference."""
        query, key, value = own
        lent_key, lent_value = (
            heads(attn, layer(tokens)) for layer in (self._lent.to_k_ip, self._lent.to_v_ip)
        )
        keys = torch.cat([self._lent.norm_k(key), self._lent.norm_ip_k(lent_key)], dim=2)
        return attention(self._lent.norm_q(query), keys, torch.cat([value, lent_value], dim=2))


def _joint(
    attn: Any, own: tuple[torch.Tensor, ...], text: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(B, N, C) of the picture, and (B, L, C) of the text where there is any."""
    query, key, value = own
    query, key = _normed(attn.norm_q, query), _normed(attn.norm_k, key)
    if text is None:
        return attention(query, key, value), None
    layers = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    text_query, text_key, text_value = (heads(attn, layer(text)) for layer in layers)
    mixed = attention(
        torch.cat([query, _normed(attn.norm_added_q, text_query)], dim=2),
        torch.cat([key, _normed(attn.norm_added_k, text_key)], dim=2),
        torch.cat([value, text_value], dim=2),
    )
    picture, told = mixed.tensor_split([query.shape[2]], dim=1)
    return picture, told if attn.context_pre_only else attn.to_add_out(told)


def _normed(norm: Any, states: torch.Tensor) -> torch.Tensor:
    """SD3.0 has no such norms."""
    return states if norm is None else norm(states)
