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
        share = hidden.mean() / weighted.mean()
        # A mean of nothing can be brought back by nothing.
        return weighted * share if bool(share.isfinite()) else weighted


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
        torch.tensor([weights], device=device),
    )
