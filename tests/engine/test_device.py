"""What a device is asked for before it paints."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
