"""What the loop asks of a family of models: the arithmetic of one architecture, nothing of jobs or queues."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from PIL import Image

from engine.api import GenerationSpec
from engine.conditioning import Conditioning
from engine.profile import Profile

LatentSampler = Callable[[torch.Generator], torch.Tensor]
"""Draws latents (1, C, h, w) of an encoded picture; the generator decides where the encoder is random."""


class ModelFamily(Protocol):
    """A loaded model. Latents are float32 (B, C, h, w) on ``device``, whatever form the model itself takes
    them in; pixels are float32 in [0, 1].
    """

    profile: Profile
    device: torch.device
    dtype: torch.dtype

    @property
    def takes_mask(self) -> bool:
        """An inpainting model: it is told mask and masked picture beside the latents."""
        ...

    def latent_shape(self, spec: GenerationSpec) -> tuple[int, int, int]:
        """(C, h, w) of one image of ``spec``."""
        ...

    def wear(self, loras: tuple[tuple[str, float], ...]) -> None:
        """Put exactly these LoRAs on for what follows, by name and weight; EngineError for a broken one."""
        ...

    def forget(self) -> None:
        """What is kept beside the weights leaves the device; it is made again when it is wanted."""
        ...

    def condition(self, spec: GenerationSpec) -> Conditioning:
        """A row for each branch of guidance, what is wanted last: (negative, positive), or (positive,)
        where ``spec`` is not guided. Texts are kept, so that a repeated one costs nothing.
        """
        ...

    def guide(self, spec: GenerationSpec, branches: Sequence[torch.Tensor]) -> torch.Tensor:
        """One prediction (n, C, h, w) of those of each branch, in the order of :meth:`condition`."""
        ...

    def scheduler(self, spec: GenerationSpec) -> Any:
        """A diffusers scheduler of the job's own, its timesteps set."""
        ...

    def skipped(self, spec: GenerationSpec) -> int:
        """Steps that ``spec.init`` spares, of ``spec.steps``; at least one is left."""
        ...

    def encode(self, pixels: torch.Tensor, tile: bool) -> LatentSampler:
        """The latents of a picture, (1, 3, H, W) in [0, 1]."""
        ...

    def denoise(
        self, latents: torch.Tensor, timesteps: torch.Tensor, cond: Conditioning, tile: bool
    ) -> torch.Tensor:
        """The model's prediction for rows (B, C, h, w) at timesteps (B,), each under its conditioning."""
        ...

    def decode(self, latents: torch.Tensor, tile: bool) -> torch.Tensor:
        """Pixels (B, 3, H, W) in [0, 1] of clean latents."""
        ...

    def preview(self, latents: torch.Tensor) -> torch.Tensor:
        """Rough pixels (B, 3, h, w) in [0, 1] of clean latents by a linear map; costs next to nothing."""
        ...


class OwnCourse(ABC):
    """Images of one job that a pipeline paints in its own way, a turn at a time; stands where rows would."""

    family: Any
    spec: GenerationSpec
    cost: int
    step: int
    clean: torch.Tensor | None
    """Rough pixels (n, 3, h, w) by the last turn that was asked for them."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Images."""

    @property
    @abstractmethod
    def end(self) -> int:
        """Turns in all, as far as that is known."""

    @property
    def told(self) -> tuple[int, int]:
        """Turns taken, and all there are."""
        return self.step, self.end

    @property
    @abstractmethod
    def done(self) -> bool:
        """No turn is left."""

    @abstractmethod
    def take_turn(self, want_clean: bool) -> None:
        """About one denoising step."""

    @abstractmethod
    def pictures(self) -> list[Image.Image]:
        """The finished pictures; EngineError when one is not a picture."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, wherever it stands."""


class OwnWay(ABC):
    """A loaded model that does not step with others: it has a course for each job."""

    profile: Profile
    device: torch.device
    dtype: torch.dtype

    @abstractmethod
    def forget(self) -> None:
        """What is kept beside the weights leaves the device."""

    @abstractmethod
    def begin(self, spec: GenerationSpec, seeds: Sequence[int]) -> OwnCourse:
        """The course of some images of a job; nothing runs before its first turn."""
