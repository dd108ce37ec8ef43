"""What a model is told beside the latents: named tensors, row by row, of lengths that may differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch.nn.functional import pad

_NOTHING: Mapping[str, torch.Tensor] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """B rows of conditioning; which ``extra`` there are is the family's own matter."""

    text: torch.Tensor
    """(B, L, D) hidden states of the text."""
    mask: torch.Tensor | None = None
    """(B, L), true where a token counts; None where all of them do."""
    extra: Mapping[str, torch.Tensor] = field(default_factory=lambda: _NOTHING)
    """(B, ...) pooled text, sizes, embedded guidance, references ...: zeros where a row has less."""

    @property
    def rows(self) -> int:
        """B."""
        return self.text.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.text.nbytes + sum(tensor.nbytes for tensor in self.extra.values())

    def repeat(self, times: int) -> Conditioning:
        """Each row ``times`` times, neighbours of each other: (B * times) rows."""
        mask = None if self.mask is None else self.mask.repeat_interleave(times, 0)
        extra = {name: tensor.repeat_interleave(times, 0) for name, tensor in self.extra.items()}
        return Conditioning(self.text.repeat_interleave(times, 0), mask, extra)

    def beside(self, extra: Mapping[str, torch.Tensor]) -> Conditioning:
        """The same rows, told ``extra`` (B, ...) too."""
        return replace(self, extra={**self.extra, **extra}) if extra else self

    def split(self, most: int) -> list[Conditioning]:
        """In order, at most ``most`` rows each."""
        if self.rows <= most:
            return [self]
        return [self[start : start + most] for start in range(0, self.rows, most)]

    def __getitem__(self, rows: slice | list[int]) -> Conditioning:
        mask = None if self.mask is None else self.mask[rows]
        return Conditioning(
            self.text[rows], mask, {name: tensor[rows] for name, tensor in self.extra.items()}
        )


def stack(parts: Sequence[Conditioning]) -> Conditioning:
    """The rows of all ``parts``; shorter texts are filled up with zeros that the mask leaves out, and so is
    what only some rows have beside them.
    """
    if len(parts) == 1:
        return parts[0]
    longest = max(part.text.shape[1] for part in parts)
    whole = all(part.mask is None and part.text.shape[1] == longest for part in parts)
    return Conditioning(
        torch.cat([pad(part.text, (0, 0, 0, longest - part.text.shape[1])) for part in parts]),
        None if whole else torch.cat([_mask(part, longest) for part in parts]),
        {name: _beside(parts, name) for name in dict.fromkeys(name for part in parts for name in part.extra)},
    )


def _beside(parts: Sequence[Conditioning], name: str) -> torch.Tensor:
    """(B, ...) of all parts, filled up along the first dimension behind the rows."""
    there = [part.extra[name] for part in parts if name in part.extra]
    if len(there) == len(parts) and len({tensor.shape[1:] for tensor in there}) == 1:
        return torch.cat(there)
    longest, rest = max(tensor.shape[1] for tensor in there), there[0].shape[2:]
    whole = there[0].new_zeros((sum(part.rows for part in parts), longest, *rest))
    begin = 0
    for part in parts:
        if (tensor := part.extra.get(name)) is not None:
            whole[begin : begin + part.rows, : tensor.shape[1]] = tensor
        begin += part.rows
    return whole


def _mask(part: Conditioning, length: int) -> torch.Tensor:
    mask = part.text.new_ones(part.text.shape[:2], dtype=torch.bool) if part.mask is None else part.mask
    return pad(mask, (0, length - mask.shape[1]))
