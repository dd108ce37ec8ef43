"""CogView4: GLM-4 as text encoder, a joint transformer that is told the picture's size.

CogView4 (Zhipu AI 2025; CogView3, Zheng et al. 2024, arXiv:2403.05121), as in diffusers' CogView4Pipeline,
which every result is tested against.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers.models.embeddings import apply_rotary_emb
from torch.nn.functional import scaled_dot_product_attention

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.flow import FlowFamily
from engine.profile import Profile


class CogView4(FlowFamily):
    """ModelFamily of CogView4Pipeline folders."""

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(profile, device, dtype)
        for block in self._denoiser.transformer_blocks:
            block.attn1.processor = _Attention()

    def _embed(self, text: str) -> Conditioning:
        """Hidden states of the last layer but one, filled up to a multiple of 16 by the stock pipeline."""
        hidden, _ = self.pipeline.encode_prompt(text, do_classifier_free_guidance=False, device=self.device)
        return Conditioning(hidden.to(self.dtype))

    def _spaced(self, steps: int) -> dict[str, Any]:
        """The model is told timesteps as they were before the shift, cut to whole ones."""
        last = int(self.profile.scheduler.get("num_train_timesteps", 1000))
        timesteps = np.linspace(last, 1.0, steps).astype(np.int64).astype(np.float32)
        return {"timesteps": timesteps, "sigmas": timesteps / last}

    def _mu(self, spec: GenerationSpec) -> float:
        """By the square root of the number of patches."""
        config = self.profile.scheduler
        ratio = self._patches(spec) / float(config.get("base_image_seq_len", 256))
        return float(ratio**0.5 * config.get("max_shift", 1.15) + config.get("base_shift", 0.5))

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the transformer, every row at its own timestep and with a text of its own length."""
        rows, _, height, width = latents.shape
        size = torch.tensor([[height, width]], device=latents.device, dtype=self.dtype) * self._factor
        prediction: torch.Tensor = self._denoiser(
            hidden_states=latents.to(self.dtype),
            encoder_hidden_states=cond.text,
            timestep=timesteps,
            original_size=size.expand(rows, -1),
            target_size=size.expand(rows, -1),
            crop_coords=torch.zeros_like(size).expand(rows, -1),
            attention_mask=cond.mask,
            return_dict=False,
        )[0]
        return prediction.float()


class _Attention:
    """As diffusers' CogView4AttnProcessor, which lets padded text through: it adds its mask of 0 and 1."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        image_rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Picture (B, N, D) and text (B, L, D), with a mask (B, L) that is true where a token counts."""
        length = encoder_hidden_states.shape[1]
        joint = torch.cat([encoder_hidden_states, hidden_states], dim=1)
        query, key, value = (
            layer(joint).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        query = _turned(attn.norm_q, query, length, image_rotary_emb).to(value.dtype)
        key = _turned(attn.norm_k, key, length, image_rotary_emb).to(value.dtype)
        mask = None
        if attention_mask is not None:
            mask = torch.nn.functional.pad(attention_mask, (0, hidden_states.shape[1]), value=True)
            mask = mask[:, None, None]
        joint = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joint = attn.to_out[1](attn.to_out[0](joint.transpose(1, 2).flatten(2, 3)))
        return joint[:, length:], joint[:, :length]


def _turned(
    norm: Any, heads: torch.Tensor, length: int, rotary: tuple[torch.Tensor, torch.Tensor] | None
) -> torch.Tensor:
    """Normed, and the picture's part turned by its places; the text has none."""
    heads = heads if norm is None else norm(heads)
    if rotary is None:
        return heads
    picture = apply_rotary_emb(heads[:, :, length:], rotary, use_real_unbind_dim=-2)
    return torch.cat([heads[:, :, :length], picture], dim=2)
