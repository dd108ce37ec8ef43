"""What a plan costs with 10 and with 10,000 rows waiting: ``python -m benchmarks.plan_cost [--rounds 3000]``.

Processor time of ``Scheduler.plan``, in turns on both queues, in one run; each plan is followed by the step's
bookkeeping, and a job that ends makes room for a new one, as in the engine. Torch-free.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

from engine.api import Lane
from engine.scheduler import Scheduler, Ticket

QUEUES = (10, 10_000)
GOAL = 1.5


class Queue:
    """A scheduler that always holds ``count`` single rows of ``users`` users."""

    def __init__(self, count: int, users: int) -> None:
        self._users = users
        self._number = 0
        self.scheduler = Scheduler(8)
        self.seconds: list[float] = []
        self._left: dict[int, int] = {}
        for _ in range(count):
            self._add()

    def _add(self) -> None:
        self._number += 1
        ticket = Ticket(
            self._number,
            str(self._number % self._users),
            Lane.FAST,
            1,
            "grid",
            1.0,
            model="model",
            job=self._number,
        )
        self._left[self._number] = 20
        self.scheduler.add(ticket)

    def tick(self) -> None:
        """One plan, timed, and what follows it."""
        began = time.thread_time()
        plan = self.scheduler.plan()
        self.seconds.append(time.thread_time() - began)
        self.scheduler.update({ticket.key: 0.05 / len(plan) for ticket in plan})
        for ticket in plan:
            key = int(str(ticket.key))
            self._left[key] -= 1
            if not self._left[key]:
                self.scheduler.remove(key)
                self._add()


def main() -> float:
    """Print the medians and their ratio; the worst ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_cost")
    parser.add_argument("--rounds", type=int, default=3000)
    rounds = parser.parse_args().rounds
    worst = 0.0
    for users in (1, 10, 10_000):
        queues = [Queue(count, users) for count in QUEUES]
        for _ in range(rounds):
            for queue in random.sample(queues, 2):
                queue.tick()
        few, many = (statistics.median(queue.seconds[rounds // 10 :]) * 1e6 for queue in queues)
        worst = max(worst, many / few)
        print(
            f"plan(), {min(users, QUEUES[1]):>6} users: {few:6.1f} us with {QUEUES[0]} rows waiting, "
            f"{many:6.1f} us with {QUEUES[1]}; ratio {many / few:.2f} (aim {GOAL})"
        )
    return worst


if __name__ == "__main__":
    raise SystemExit(main() > GOAL)
