"""How far off the wait is that users are told: ``python -m benchmarks.wait_error [--runs 12]``.

In virtual time, so it is the same on any machine: users order grids and single pictures at random for a
while, to the engine's scheduler on a device of which the engine knows nothing at first. Costs are learned
from what jobs took, and steps take up to 10 % more or less than usual. The wait that the bot's backlog tells
when a job is ordered is held against the time that its pictures took to come; later orders of others may
come between, as they may in life, and the more so the busier the device is. Printed is the median of
|told - taken| / taken over the orders after the first 20, at each load and over all.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Hashable

from benchmarks.virtual import Device
from benchmarks.wire import percentile
from bot.services.backlog import Backlog

GOAL, ORDERS, FIRST = 0.20, 400, 20
SHAPES = ((4, 20), (4, 20), (4, 30), (1, 20), (2, 50))
"""Rows and steps of what is ordered."""


class Noisy(Device):
    """Steps that take more or less than usual."""

    chance: random.Random

    def tick(self) -> bool:
        self.each = self.chance.uniform(0.9, 1.1)
        return super().tick()


def run(seed: int, load: float) -> list[float]:
    """Relative errors of the waits told, of one day at so much load (1: all that the device can do)."""
    chance = random.Random(seed)
    device = Noisy(0.0, 1.0)
    device.chance = chance
    backlog = Backlog(clock=lambda: device.now)
    told: dict[Hashable, float] = {}
    done: set[Hashable] = set()
    pause = sum(rows * steps for rows, steps in SHAPES) / len(SHAPES) / load
    coming, number = 0.0, 0
    while number < ORDERS or device.left:
        while number < ORDERS and device.now >= coming:
            _order(device, backlog, told, number, chance)
            number += 1
            coming += chance.expovariate(1 / pause)
        if not device.tick():
            device.now = coming
        for key in device.ended.keys() - done:
            backlog.gone(str(key))
            done.add(key)
        for key, left in device.left.items():
            backlog.progress(str(key), 1 - left / device.shapes[key][1])
    taken = {key: device.ended[key] - device.came[key] for key in told}
    return [abs(told[key] - taken[key]) / taken[key] for key in told if int(str(key)) >= FIRST]


def _order(
    device: Device, backlog: Backlog, told: dict[Hashable, float], number: int, chance: random.Random
) -> None:
    rows, steps = chance.choice(SHAPES)
    user = chance.randrange(8)
    cost = device.learned.get((rows, steps), 1.0)
    device.submit(number, str(user), rows, steps)
    backlog.queued(str(number), "fast", user, cost)
    backlog.handed(str(number))
    told[number] = backlog.ahead(str(number))[1] + backlog.left(str(number))


def main() -> float:
    """Print the median and the spread at each load; the median over all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wait_error")
    parser.add_argument("--runs", type=int, default=12)
    runs = parser.parse_args().runs
    found: list[float] = []
    for load in (0.5, 0.8, 0.95):
        errors = [error for seed in range(runs) for error in run(seed, load)]
        middle = statistics.median(errors)
        found += errors
        print(
            f"error of the wait told, load {load:.2f}: median {middle:.1%}, "
            f"p90 {percentile(errors, 0.9):.1%} over {len(errors)} orders (aim {GOAL:.0%})"
        )
    print(f"over all: median {statistics.median(found):.1%}")
    return statistics.median(found)


if __name__ == "__main__":
    raise SystemExit(main() > GOAL)
