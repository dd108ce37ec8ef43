"""Waiting and fairness under the engine's scheduler: ``python -m benchmarks.fairness [--runs 40]``.

In virtual time, so it is the same on any machine (``benchmarks/virtual.py``). One user keeps 16 grids queued
behind the one at work; another orders a grid now and then. Printed are the second one's waits until the first
step, and delays (from the order to the pictures, less what the grid takes alone), in grids; and the seconds
that the whole took, beside first come first served. Then the gap of service among users whose queues never
empty, jobs of many sizes, in units of the dearest job.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Hashable, Iterable

from benchmarks.virtual import MOST, ROWS, STEPS, Device, FirstCome, Order, RoundRobin
from benchmarks.wire import percentile

QUEUED, VISITS = 16, 12
SHAPES = {"saturated": (0.0, 1.0), "some room": (2.0, 1.0), "mostly launches": (50.0, 1.0)}
"""Seconds of a step: fixed, and for each row. Two grids in one pass save 0 %, 17 % and 46 %."""
POLICIES: dict[str, Callable[[], Order | None]] = {
    "first come first served": FirstCome,
    "round robin of jobs": RoundRobin,
    "this engine": lambda: None,
}


def visit(device: Device, chance: random.Random) -> tuple[list[float], list[float], float]:
    """(waits, delays) of the light user's grids, in grids, and grids' worth of work done in a grid's time."""
    grid = device.seconds(ROWS, STEPS)
    heavy = light = 0
    coming = grid * (2 + chance.random())
    while light < VISITS or _of(device.left, "light"):
        while len(_of(device.left, "heavy")) < QUEUED + 1:
            device.submit(("heavy", heavy), "heavy")
            heavy += 1
        if light < VISITS and device.now >= coming:
            device.submit(("light", light), "light")
            device.came["light", light] = coming
            light += 1
            coming = device.now + grid * (20 + 4 * chance.random())
        device.tick()
    mine = _of(device.ended, "light")
    waits = [(device.began[key] - device.came[key]) / grid for key in mine]
    delays = [(device.ended[key] - device.came[key]) / grid - 1 for key in mine]
    return waits, delays, len(device.ended) * grid / device.now


def _of(keys: Iterable[Hashable], user: str) -> list[Hashable]:
    """A user's jobs."""
    return [key for key in keys if isinstance(key, tuple) and key[0] == user]


def gap(seed: int) -> float:
    """The largest gap of service between users whose queues never empty, over the dearest job."""
    chance = random.Random(seed)
    device = Device(*chance.choice(list(SHAPES.values())))
    users = [str(number) for number in range(chance.randint(2, 8))]
    shapes = {user: [(chance.randint(1, MOST), chance.randint(4, 40)) for _ in range(3)] for user in users}
    dearest = max(device.seconds(*shape) for own in shapes.values() for shape in own)
    counts = dict.fromkeys(users, 0)
    worst = 0.0
    for _ in range(1500):
        for user in users:
            while len(_of(device.left, user)) < 3:
                rows, steps = chance.choice(shapes[user])
                device.submit((user, counts[user]), user, rows, steps, group=chance.choice("ab"))
                counts[user] += 1
        device.tick()
        served = [device.served[user] for user in users]
        worst = max(worst, max(served) - min(served))
    return worst / dearest


def main() -> None:
    """Print all of it; exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness")
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    missed = False
    for shape, (fixed, each) in SHAPES.items():
        print(f"a light user behind {QUEUED} queued grids, device {shape}, {runs} runs of {VISITS} orders:")
        first = 0.0
        for name, policy in POLICIES.items():
            found = [visit(Device(fixed, each, policy()), random.Random(seed)) for seed in range(runs)]
            waits = [wait for waited, _, _ in found for wait in waited]
            delays = [delay for _, delayed, _ in found for delay in delayed]
            rate = statistics.median(rate for _, _, rate in found)
            first = first or rate
            print(
                f"  {name:<24} wait p50 {percentile(waits, 0.5):5.2f}  p95 {percentile(waits, 0.95):5.2f}  "
                f"delay p95 {percentile(delays, 0.95):5.2f} grids; throughput {rate / first:.3f} of the first"
            )
        missed = missed or percentile(delays, 0.95) > 0.25 or rate / first < 0.97
    gaps = [gap(seed) for seed in range(runs)]
    print(
        f"gap of service between backlogged users / dearest job (aim 2): median "
        f"{statistics.median(gaps):.2f} ({min(gaps):.2f} to {max(gaps):.2f}) over {runs} runs"
    )
    raise SystemExit(missed or max(gaps) > 2)


if __name__ == "__main__":
    main()
