"""Which errors mean that memory ran out, and which that the device is lost."""

from __future__ import annotations

import torch

_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")
_LOST = ("device-side assert", "illegal memory access", "unspecified launch failure", "cuda error: ")


def is_out_of_memory(error: BaseException) -> bool:
    """True where a smaller batch may succeed; torch says it in several ways."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def is_fatal(error: BaseException) -> bool:
    """True where every further call on the device fails too, so that only a restart helps."""
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    return any(sign in str(error).lower() for sign in _LOST)
