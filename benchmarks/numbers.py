"""A step in float32 and in bfloat16 on a CPU, by the size of the model: ``python -m benchmarks.numbers``.

UNets of Stable Diffusion 1.5's architecture, narrower ones and its own, with random weights; both number
formats take the same step in turns. Where bfloat16 wins is what ``engine.device.LARGE`` stands for.
"""

from __future__ import annotations

import argparse
import logging
import statistics
from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel

from benchmarks.engine_overhead import now, since
from engine.device import FASTER_WITH, LARGE

WIDTHS = {16: 8, 64: 32, 160: 32, 320: 32}
"""Channels of the first block, by which all others go, and side of the latents; 320 is Stable Diffusion's."""
ROWS, TOKENS, CONTEXT = 2, 77, 768


def step(network: UNet2DConditionModel, side: int, dtype: torch.dtype) -> Callable[[], object]:
    """A forward pass of a guided picture."""
    latents = torch.randn(ROWS, 4, side, side, dtype=dtype)
    text = torch.randn(ROWS, TOKENS, CONTEXT, dtype=dtype)
    return lambda: network(latents, torch.tensor(500.0), encoder_hidden_states=text, return_dict=False)


@torch.inference_mode()
def compare(width: int, side: int, rounds: int) -> tuple[int, list[float], list[float]]:
    """Bytes in float32, seconds of that, and how many times faster bfloat16 was, after a round to warm up."""
    torch.manual_seed(0)
    channels = tuple(width * times for times in (1, 2, 4, 4))
    wide = UNet2DConditionModel(
        block_out_channels=channels, cross_attention_dim=CONTEXT, norm_num_groups=min(32, width)
    ).eval()
    narrow = UNet2DConditionModel.from_config(wide.config).eval().to(torch.bfloat16)
    size = sum(weight.nbytes for weight in wide.parameters())
    steps = step(wide, side, torch.float32), step(narrow, side, torch.bfloat16)
    seconds, ratios = [], []
    for number in range(rounds + 1):
        took = []
        for run in steps:
            began = now()
            run()
            took.append(since(began)[0])
        if number:
            seconds.append(took[0])
            ratios.append(took[0] / took[1])
    return size, seconds, ratios


def main() -> None:
    """Print medians and spread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.numbers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    able = [name for name in FASTER_WITH if torch.cpu.get_capabilities().get(name)]
    print(
        f"bfloat16 in hardware: {', '.join(able) or 'no'}; taken from {LARGE / 2**20:.0f} MiB of weights on"
    )
    for width, side in WIDTHS.items():
        size, seconds, ratios = compare(width, side, options.rounds)
        print(
            f"{size / 2**20:5.0f} MiB: float32 {1000 * statistics.median(seconds):6.0f} ms, "
            f"/ bfloat16 {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
