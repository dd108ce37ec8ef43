"""Files of weights by their headers: whole or not, and what they hold. Torch-free; no weight is read."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from engine.api import ModelUnavailable

PICKLES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl"})
MOST_HEADER = 100_000_000
"""Bytes of a header, as the library of safetensors has it: what is longer would fill the memory, not tell."""
Shapes = Mapping[str, tuple[int, ...]]


def refuse_pickle(path: Path) -> None:
    """ModelUnavailable for what would have to be unpickled, whatever it is called."""
    if path.suffix.lower() in PICKLES or _begins_like_a_pickle(path):
        raise ModelUnavailable(
            f"{path} is a pickle, which is never loaded; convert the model to safetensors."
        )


def shapes_of(path: Path) -> Shapes:
    """Shapes of the tensors by name; ModelUnavailable for a file that is missing, cut short, or no such file.

    Format: https://huggingface.co/docs/safetensors.
    """
    refuse_pickle(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length) if length < min(size, MOST_HEADER) else b"")
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
        expected = 8 + length + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except FileNotFoundError:
        raise ModelUnavailable(f"{path} is missing; copy the model's folder again.") from None
    except (OSError, struct.error, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ModelUnavailable(f"{path} is not a whole safetensors file; copy it again.") from None
    if size != expected:
        raise ModelUnavailable(f"{path} is cut short: {size:,} of {expected:,} bytes; copy it again.")
    return shapes


def _begins_like_a_pickle(path: Path) -> bool:
    """torch.save writes a zip, and before that wrote a bare pickle of protocol 2."""
    try:
        with path.open("rb") as file:
            return file.read(4).startswith((b"PK\x03\x04", b"\x80\x02"))
    except OSError:
        return False
