"""Which errors mean that memory ran out, what is done then, and which mean that the device is lost."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)
T = TypeVar("T")
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


def in_less_memory(attempt: Callable[[], T], ease: Callable[[], bool]) -> T:
    """The attempt's answer; out of memory, it is repeated for as long as ``ease`` can free some more."""
    while True:
        try:
            return attempt()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.warning("out of memory: %s", error)
            traceback.clear_frames(error.__traceback__)  # they hold what the attempt had made
            failure = error
        if not ease():
            raise failure


def free(device: torch.device) -> None:
    """What torch keeps for itself goes back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
