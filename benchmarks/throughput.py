"""Pictures a second, 16 users at once or one grid at a time: ``python -m benchmarks.throughput``.

The same grids on the same engine, both ways in turns, in one run: handed over all together by 16 users, or
each when the one before is done. A tiny model and a one-step one, where launches cost more than arithmetic,
and one of Stable Diffusion's shape: at 64 px, which leaves a processor some room, and at 128 px, which does
not. Random weights, nothing is downloaded; processor seconds stand beside the clock, since they hold on a
machine that does other work too. Takes a minute or two.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

from benchmarks.engine_overhead import Times, now, since
from engine.api import Failed, Finished, GenerationSpec
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from tests import pipelines

USERS, IMAGES, ROWS = 16, 4, 16
SHAPES = {
    "tiny": (32, 10, 1.8),
    "tiny, 1 step": (32, 1, 1.8),
    "sd, some room": (64, 4, 1.2),
    "sd, saturated": (128, 4, 1.0),
}
"""Side in pixels, steps, goal."""


def specs(model: str, side: int, steps: int, run: str) -> list[GenerationSpec]:
    """A grid for each user."""
    seeds = tuple(range(IMAGES))
    return [
        GenerationSpec(f"{run}-{user}", model, "x", seeds, side, side, steps, 5.0, "euler", user=str(user))
        for user in range(USERS)
    ]


async def timed(engine: LocalEngine, jobs: list[GenerationSpec], together: bool) -> Times:
    """Seconds until all are done."""
    began = now()
    waiting = list(jobs)
    for job in [waiting.pop(0) for _ in range(len(jobs) if together else 1)]:
        engine.submit(job)
    left = len(jobs)
    async for event in engine.events():
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Finished):
            left -= 1
            if waiting:
                engine.submit(waiting.pop(0))
        if not left:
            break
    return since(began)


async def compare(folder: Path, rounds: int, threads: int, device: str) -> dict[str, list[tuple[float, ...]]]:
    """Ratios (clock, processor) of one at a time to all together, by shape, after a round to warm up."""
    sources = {
        "tiny": ModelSource("tiny", pipelines.classic(folder / "tiny")),
        "sd": ModelSource("sd", pipelines.classic(folder / "sd", channels=32)),
    }
    engine = LocalEngine(sources, dtype="float32", threads=threads, max_rows=ROWS, device=device)
    await engine.start()
    found: dict[str, list[tuple[float, ...]]] = {shape: [] for shape in SHAPES}
    for number in range(rounds + 1):
        for shape, (side, steps, _) in SHAPES.items():
            model = shape.split(",")[0]
            alone = await timed(engine, specs(model, side, steps, f"{shape}{number}a"), together=False)
            together = await timed(engine, specs(model, side, steps, f"{shape}{number}t"), together=True)
            if number:
                found[shape].append(tuple(one / all_ for one, all_ in zip(alone, together, strict=True)))
    await engine.close()
    return found


def main() -> None:
    """Print medians and spread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(compare(Path(folder), options.rounds, options.threads, options.device))
    for shape, ratios in found.items():
        for clock, name in enumerate(("clock", "processor")):
            values = [ratio[clock] for ratio in ratios]
            print(
                f"{USERS} users together / one grid at a time, {shape}, {name}: "
                f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}), "
                f"aim {SHAPES[shape][2]}"
            )


if __name__ == "__main__":
    main()
