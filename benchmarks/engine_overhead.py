"""What the engine adds to a bare diffusers call: the same grid of four, both ways, turn and turn about.

``python -m benchmarks.engine_overhead [--rounds 9] [--steps 20] [--device cpu] [--threads 1]`` builds a model
of Stable Diffusion's shape with random weights (nothing is downloaded), and prints the median and the spread
of both times and of their ratio within each round. The engine's time runs from submit to Finished: queue,
thread, progress, previews and decoding included; no upscaling on either side. Processor seconds stand beside
the wall clock, since they hold on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from engine import schedulers
from engine.api import Failed, Finished, GenerationSpec
from engine.profile import ModelSource
from engine.runtime import LocalEngine
from tests import pipelines

IMAGES, SIZE, SAMPLER = 4, 128, "dpm++ 2m"
GOAL = 1.02
Times = tuple[float, float]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--channels", type=int, default=96, help="width of the UNet's first block")
    return parser.parse_args(argv)


def stock(folder: Path, device: str, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
    """The bare pipeline with the same sampler."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, dtype=dtype)
    pipeline.scheduler = schedulers.build(SAMPLER, pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def now() -> Times:
    """Wall clock and processor time of all threads, in seconds."""
    return time.perf_counter(), time.process_time()


def since(began: Times) -> Times:
    """Seconds that went by on both clocks."""
    return time.perf_counter() - began[0], time.process_time() - began[1]


def bare(pipeline: StableDiffusionPipeline, prompt: str, steps: int, size: int = SIZE) -> Times:
    """Seconds of one call for the grid."""
    began = now()
    pipeline(
        [prompt] * IMAGES,
        num_inference_steps=steps,
        guidance_scale=5.0,
        width=size,
        height=size,
        generator=[torch.Generator().manual_seed(seed) for seed in range(IMAGES)],
    )
    return since(began)


async def ours(engine: LocalEngine, prompt: str, steps: int, size: int = SIZE) -> Times:
    """Seconds from submit to the pictures."""
    began = now()
    spec = GenerationSpec(prompt, "bench", prompt, tuple(range(IMAGES)), size, size, steps, 5.0, SAMPLER)
    engine.submit(spec)
    async for event in engine.events():
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Finished):
            break
    return since(began)


async def compare(folder: Path, options: argparse.Namespace) -> list[tuple[Times, Times]]:
    """(bare, ours) of each round, after one round to warm up; who goes first alternates."""
    engine = LocalEngine(
        {"bench": ModelSource("bench", folder)},
        device=options.device,
        dtype="float32",
        threads=options.threads,
    )
    await engine.start()
    pipeline = stock(folder, options.device)
    rounds = []
    for number in range(options.rounds + 1):
        prompt = f"a red apple {'x' * number}"
        if number % 2:
            first = bare(pipeline, prompt, options.steps)
            rounds.append((first, await ours(engine, prompt, options.steps)))
        else:
            second = await ours(engine, prompt, options.steps)
            rounds.append((bare(pipeline, prompt, options.steps), second))
    await engine.close()
    return rounds[1:]


def told(name: str, values: Sequence[float], unit: str = "s") -> str:
    """Median and range."""
    return f"{name:<32} {statistics.median(values):7.3f} {unit}  ({min(values):.3f} to {max(values):.3f})"


def main(argv: Sequence[str] | None = None) -> float:
    """Print the figures; the median ratio."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = pipelines.classic(Path(folder) / "bench", channels=options.channels)
        rounds = asyncio.run(compare(path, options))
    print(f"grid of {IMAGES} at {SIZE} px, {options.steps} steps, {options.device}, {len(rounds)} rounds")
    ratios = []
    for clock, unit in enumerate(("wall", "processor")):
        plain, engine = ([times[way][clock] for times in rounds] for way in (0, 1))
        ratios.append([ours / theirs for theirs, ours in zip(plain, engine, strict=True)])
        print(told(f"bare diffusers call, {unit}", plain))
        print(told(f"engine to pictures, {unit}", engine))
        print(told(f"ratio (aim {GOAL}), {unit}", ratios[-1], " "))
    return statistics.median(ratios[0])


if __name__ == "__main__":
    main()
