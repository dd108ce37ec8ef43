"""Small things that every stage shares: seeds, a clock, a checkpoint written in one piece."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch


def prepare(seed: int, threads: int = 1) -> None:
    """Fix the seeds and the number of threads.

    One thread, because two waste most of their time in spinning at barriers once other work shares the cores
    (measured: 2.2 against 0.3 CPU seconds a step); the denoiser uses two processes instead.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)


def device() -> torch.device:
    """The graphics card where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a killed run never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """A checkpoint, or None where there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Clock:
    """Training time in seconds, carried over a resume, against a plan in minutes."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.plan, self.before, self.start = minutes * 60, spent, time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds trained so far, earlier runs counted in."""
        return self.before + time.monotonic() - self.start

    @property
    def share(self) -> float:
        """How much of the plan is done, 0..1."""
        return min(1.0, self.spent / self.plan)


def log(path: Path, **values: float | int | str) -> None:
    """Print one line of progress and append it as JSON."""
    line = json.dumps(
        {key: round(value, 5) if isinstance(value, float) else value for key, value in values.items()}
    )
    print(line, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + os.linesep)
