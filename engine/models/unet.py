"""What Stable Diffusion and SDXL share: CLIP encoders, a UNet, guidance that may be embedded or rescaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.models.adapters import teach
from engine.models.clip import Tokens, tokens
from engine.models.latent import LatentFamily
from engine.models.tiling import circular
from engine.models.unet_references import UNetReferences
from engine.profile import Profile

GUIDANCE = "guidance"
"""Name among the conditioning of the embedded guidance scale, (B, time_cond_proj_dim)."""


class UNetFamily(LatentFamily):
    """Texts in chunks for one or two CLIP encoders, one pass of the UNet for all rows."""

    _borrows = UNetReferences

    def __init__(self, profile: Profile, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(profile, device, dtype)
        self._taught = bool(profile.source.embeddings)
        teach(self.pipeline, dict(profile.source.embeddings))

    def _chunks(self, text: str, tokenizer: Any) -> list[Tokens]:
        """The text as its encoder takes it, words of textual inversions replaced."""
        if self._taught:
            text = self.pipeline.maybe_convert_prompt(text, tokenizer)
        return list(tokens(tokenizer, text, self.device))

    @property
    def _embedded(self) -> int | None:
        """Length of the embedded guidance scale: a UNet distilled with guidance (Meng et al. 2023,
        arXiv:2210.03142; Luo et al. 2023, arXiv:2310.04378) is told it and needs no negative branch.
        """
        length = self._denoiser.config.time_cond_proj_dim
        return None if length is None else int(length)

    def guided(self, spec: GenerationSpec) -> bool:
        """Whether ``spec`` needs the negative branch; not where guidance is embedded."""
        return self._embedded is None and super().guided(spec)

    def guide(self, spec: GenerationSpec, branches: Sequence[torch.Tensor]) -> torch.Tensor:
        """Guided, and where the folder says so brought back to the spread of the unguided prediction
        (Lin et al. 2023, arXiv:2305.08891, section 3.4), for models that start from pure noise.
        """
        guided, share = super().guide(spec, branches), self.profile.guidance_rescale
        if share == 0 or not self.guided(spec):
            return guided
        unguided = self._pulled(spec, branches, 1.0)
        return share * guided * (_spread(unguided) / _spread(guided)) + (1 - share) * guided

    def _told(self, spec: GenerationSpec, rows: int) -> Mapping[str, torch.Tensor]:
        """The guidance scale, for those UNets that take it."""
        if self._embedded is None:
            return {}
        scale = torch.tensor(spec.guidance_scale - 1, dtype=torch.float32).repeat(rows)
        embedded = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=self._embedded)
        return {GUIDANCE: embedded.to(self.device, self.dtype)}

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """One pass of the UNet, every row at its own timestep."""
        with circular(self._denoiser_layers, tile):
            prediction: torch.Tensor = self._denoiser(
                latents.to(self.dtype),
                timesteps,
                encoder_hidden_states=cond.text,
                encoder_attention_mask=cond.mask,
                timestep_cond=cond.extra.get(GUIDANCE),
                cross_attention_kwargs=self._attended(cond.extra),
                added_cond_kwargs=self._added(cond),
                return_dict=False,
            )[0]
        return prediction.float()

    def _added(self, cond: Conditioning) -> dict[str, torch.Tensor] | None:
        """What this UNet is told beside text and guidance, by diffusers' names."""
        return None


def _spread(prediction: torch.Tensor) -> torch.Tensor:
    return prediction.std(dim=tuple(range(1, prediction.ndim)), keepdim=True)
