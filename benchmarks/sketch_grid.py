"""A grid of four by the embedded model, upscaling included: ``python -m benchmarks.sketch_grid [--runs 7]``.

From handing the job to the started engine to its four pictures, on its default steps; the first run warms up.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from benchmarks.wire import spread
from engine.api import Finished, GenerationSpec
from engine.profile import SKETCH_PATH, ModelSource
from engine.runtime import LocalEngine


async def measure(runs: int, threads: int = 0) -> list[float]:
    """Seconds of each run; `threads` as the engine has it, 0 for all cores."""
    engine = LocalEngine({"sketch": ModelSource("sketch", SKETCH_PATH)}, threads=threads)
    await engine.start()
    info, events, found = engine.models()["sketch"], engine.events(), []
    for run in range(runs):
        seeds = tuple(range(4 * run, 4 * run + 4))
        side = info.native_size
        spec = GenerationSpec(
            f"{run}",
            "sketch",
            "a red apple",
            seeds,
            side,
            side,
            info.steps,
            info.guidance_scale,
            info.sampler,
        )
        began = time.perf_counter()
        engine.submit(spec)
        async for event in events:
            if isinstance(event, Finished):
                break
        found.append(time.perf_counter() - began)
    await engine.close()
    return found


def main() -> None:
    """Print the median and the spread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sketch_grid")
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    found = asyncio.run(measure(runs + 1))
    print(f"grid of four, as it is shown: {spread(found[1:])} over {runs} runs; the first {found[0]:.2f} s")


if __name__ == "__main__":
    main()
