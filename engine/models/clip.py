"""Texts for CLIP encoders: of any length, in chunks, and with weights.

As stable-diffusion-webui does it ("Original" emphasis): every chunk is encoded alone, hidden states are
multiplied by the weights of their tokens, then brought back to their former mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from engine.prompting import Chunk, chunked, weighed

NOTHING = 1e-3
"""Share of the usual size of numbers up to which their mean may be mere rounding, in bfloat16 too."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A chunk as the encoder takes it: (1, L) each, L the encoder's length."""

    ids: torch.Tensor
    mask: torch.Tensor
    """1 from the first to the last token of the encoder's own, 0 on what fills up."""
    weights: torch.Tensor

    def weigh(self, hidden: torch.Tensor) -> torch.Tensor:
        """(1, L, D) times the weights, its mean kept; untouched where every weight is 1."""
        if bool((self.weights == 1).all()):
            return hidden
        weighted = hidden * self.weights.unsqueeze(-1).to(hidden)
        means = torch.stack([hidden.mean(), weighted.mean()])
        # Where a norm has no bias there is no mean: the share of two roundings is any number, and another on
        # each device.
        if bool((means.abs() <= NOTHING * hidden.abs().mean()).any()):
            return weighted
        return weighted * (means[0] / means[1])


def tokens(tokenizer: Any, text: str, device: torch.device) -> Iterator[Tokens]:
    """The chunks of a resolved text, at least one. Without weights and within one chunk its ids are those of
    ``tokenizer(text, padding="max_length")``.
    """
    first, last = tokenizer("").input_ids

    def ids(piece: str) -> list[int]:
        found: list[int] = tokenizer(piece, add_special_tokens=False).input_ids
        return found

    comma = next(iter(ids(",")), None)
    length = tokenizer.model_max_length
    for chunk in chunked(weighed(text), ids, length - 2, comma):
        yield _framed(chunk, first, last, tokenizer.pad_token_id, length, device)


def _framed(chunk: Chunk, first: int, last: int, fill: int, length: int, device: torch.device) -> Tokens:
    own = len(chunk.tokens) + 2
    ids = [first, *chunk.tokens, last] + [fill] * (length - own)
    weights = [1.0, *chunk.weights] + [1.0] * (length - own + 1)
    return Tokens(
        torch.tensor([ids], device=device),
        torch.tensor([[1] * own + [0] * (length - own)], device=device),
        torch.tensor([weights], dtype=torch.float32, device=device),
    )
