"""Paints the training scenes, with their captions as token ids, ahead of the stages that learn from them.

    python -m training.shards --minutes 10      # on every core; two cores paint some 60,000 in that time

Files of 2048 scenes in training/runs/shards, each with a seed of its own, so a second call adds to them.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Iterator
from functools import cache
from multiprocessing import Process
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import sprites, text
from training.captions import caption
from training.common import load, prepare, save
from training.paths import RUNS
from training.scenes import Scene, draw_scene, paint

FOLDER = RUNS / "shards"
SCENES, CAPTIONS = 2048, 4  # scenes in a shard, captions of a scene

tokenizer = cache(text.load_tokenizer)


def kind(scene: Scene) -> int:
    """0 for one thing, 1 for several of it, 2 for two things side by side."""
    return 2 if scene.other >= 0 else int(scene.count > 1)


def shard(number: int) -> dict[str, Any]:
    """Pictures (N, 3, side, side) as bytes, ids (N, CAPTIONS, 32) in both languages, kinds (N,)."""
    rng = random.Random(1000 + number)
    scenes = [draw_scene(rng) for _ in range(SCENES)]
    words = [
        caption(rng, scene, ("en", "zh")[i % 2], rng.random() < 0.04).text
        for scene in scenes
        for i in range(CAPTIONS)
    ]
    pictures = np.stack([np.asarray(paint(rng, scene)) for scene in scenes])
    return {
        "pictures": torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous(),
        "ids": text.tokens(tokenizer(), words).to(torch.int16).view(-1, CAPTIONS, text.LENGTH),
        "kinds": torch.tensor([kind(scene) for scene in scenes]),
    }


def work(first: int, stride: int, until: float) -> None:
    """Paint every `stride`-th shard that is missing until the clock (monotonic, seconds) says so."""
    prepare(first)
    number = first
    while time.monotonic() < until:
        if not path(number).exists():
            save(path(number), shard(number))
        number += stride


def path(number: int) -> Path:
    """Where a shard lies."""
    return FOLDER / f"{number:05}.pt"


def painted() -> Iterator[dict[str, Any]]:
    """The shards that there are, by number."""
    for file in sorted(FOLDER.glob("*.pt")):
        found = load(file)
        assert found is not None
        yield found


def main() -> None:
    """Paint until the planned minutes are over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    sprites.table()
    until = time.monotonic() + options.minutes * 60
    workers = [Process(target=work, args=(i, options.workers, until)) for i in range(options.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"{len(list(FOLDER.glob('*.pt'))) * SCENES} scenes in {FOLDER}")


if __name__ == "__main__":
    main()
