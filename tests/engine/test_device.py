"""What a device is asked for before it paints."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from engine.api import EngineError
from engine.device import pick_dtypes

FAULTS = """
import resource, sys, threading, torch
from engine.device import keep_memory

def work():
    for _ in range(40):
        [torch.ones(500_000) for _ in range(10)]

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory(torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the kernel handed over while a thread made and dropped ten times 2 MB, again and again."""
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's rules")
def test_memory_that_a_step_frees_is_there_for_the_next() -> None:
    assert 4 * faults("kept") < faults("as it was")


@pytest.mark.parametrize(
    ("able", "large"),
    [
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_is_bfloat16_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], large: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bool(able))
    assert pick_dtypes("auto", torch.device("cpu")) == (torch.float32, large)
    assert len(set(pick_dtypes("auto", torch.device("cuda")))) == 1
    assert pick_dtypes("float32", torch.device("cpu")) == (torch.float32, torch.float32)


@pytest.mark.parametrize(
    ("name", "reason"), [("float16", "many times slower on a CPU"), ("f8", "no dtype 'f8'")]
)
def test_numbers_that_are_refused(name: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason):
        pick_dtypes(name, torch.device("cpu"))
