"""``auto`` and names into a torch device and dtype; imports torch only when asked."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from engine.api import EngineError

if TYPE_CHECKING:
    import torch

HELD = 0.75
"""Share of a GPU's memory that models may fill; the rest is for the pictures."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's rules, from malloc.h."""
KEPT, MAPPED = 2**29, 2**25
"""Bytes: free memory that a thread keeps, and the size from which a block is the kernel's (glibc's most)."""
FASTER_WITH = ("amx_bf16", "avx512_bf16")
"""What a CPU is able to that multiplies bfloat16 itself, in torch's words."""
LARGE = 1 << 28
"""Bytes of weights from which a CPU that multiplies bfloat16 surely gains by it (``benchmarks.numbers``); in
small models, most of the time goes into other things.
"""
DTYPES = ("auto", "float32", "bfloat16", "float16")


def pick_devices(names: str) -> list[torch.device]:
    """The devices called ``names``, with commas between: ``auto`` is the best there is, ``auto`` and ``cuda``
    are all GPUs of CUDA. EngineError when one is not there.
    """
    import torch

    gpus = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if names in ("auto", "cuda") and gpus:
        return gpus
    return [pick_device(name.strip()) for name in names.split(",")]


def pick_device(name: str) -> torch.device:
    """The device called ``name``, or the best there is for ``auto``; EngineError when it is not there."""
    import torch

    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise EngineError(f"There is no device {name!r} here: {str(error).splitlines()[0]}") from error
    return device


def claim(device: torch.device) -> None:
    """Make it the calling thread's own: what torch is asked without naming a GPU is asked of this one."""
    import torch

    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def keep_memory(device: torch.device) -> None:
    """On a CPU, what one step frees is there for the next.

    By glibc's own rules the free memory of a thread goes back to the kernel, and comes back from it page by
    page, filled with zeros: that took 3 to 14 % of a grid. A C library without such rules is left alone.
    """
    library = ctypes.CDLL(None)
    if device.type == "cpu" and hasattr(library, "mallopt"):
        for rule, size in ((M_TRIM_THRESHOLD, KEPT), (M_MMAP_THRESHOLD, MAPPED)):
            library.mallopt(rule, size)


def room(device: torch.device, devices: int = 1) -> tuple[int, int]:
    """Bytes that models may fill on a device, and aside in the machine's memory when they leave it.

    A GPU keeps a share for the pictures at work. On a CPU there is nothing to be gained by putting aside.
    """
    import torch

    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if device.type == "cuda":
        return int(HELD * torch.cuda.get_device_properties(device).total_memory), whole // 2 // devices
    return whole // 2 // devices, 0


def pick_dtypes(name: str, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """The number format ``name`` for models, and for those of :data:`LARGE` bytes and more; ``auto`` is
    bfloat16 where that is faster: on a GPU that has it for all, on a CPU that has it for large ones.

    EngineError for float16 on a CPU, which takes more than thirty times as long as float32.
    """
    import torch

    if name not in DTYPES:
        raise EngineError(f"There is no dtype {name!r}; choose one of {', '.join(DTYPES)}.")
    if name == "auto":
        if device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16, torch.bfloat16
        able = device.type == "cpu" and any(map(torch.cpu.get_capabilities().get, FASTER_WITH))
        return torch.float32, torch.bfloat16 if able else torch.float32
    if name == "float16" and device.type == "cpu":
        raise EngineError("float16 is many times slower on a CPU; set dtype to float32 or bfloat16.")
    dtype: torch.dtype = getattr(torch, name)
    return dtype, dtype


def describe(device: torch.device) -> str:
    """A line on the device for people: its kind, name and memory."""
    import torch

    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return f"{device} ({facts.name}, {facts.total_memory / 2**30:.0f} GiB)"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)
