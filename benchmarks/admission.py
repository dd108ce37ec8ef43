"""What one admission costs beside 10 and beside 10,000 queued jobs: ``python -m benchmarks.admission``.

Real SQLite with fsync, a scripted engine, one user per admission. Both figures and their ratio come from one
run; the queues are measured in turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from sqlalchemy import Connection

from bot.config import load
from bot.domain.job import Action, Job, JobStatus, Place, Requester
from bot.domain.prompt import parse
from bot.services.admission import Order
from bot.services.app import Services, open_services
from bot.services.sink import Picture
from bot.store import accounts, jobs
from bot.store.accounts import Account, Amounts
from bot.store.database import Database
from bot.store.jobs import Intake
from engine.api import Engine
from engine.fake import FakeEngine

QUEUES = (10, 10_000)
ROUNDS = 100
PLACE = Place(1, 2)
PROMPT = parse("a red apple --ar 3:2")


class NoSink:
    """Nothing runs, so nothing is told."""

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        return

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        return 1

    async def find_posted(self, job: Job) -> int | None:
        return None

    async def tell(self, job: Job, sentence: str) -> None:
        return


def _fill(connection: Connection, count: int) -> None:
    """``count`` queued jobs, ten for each user, as the admission would have left them."""
    for number in range(count):
        who = Requester(10**6 + number // 10)
        job = Job(
            uuid.uuid4().hex,
            number + 1,
            Action.IMAGINE,
            who,
            PLACE,
            PROMPT,
            (1, 2, 3, 4),
            JobStatus.QUEUED,
            1.0,
            model="sketch",
        )
        jobs.add(connection, job, Intake("fast", 1.0, 4.0, 0.8))
        part = {Account.ALLOWANCE: Amounts(4.0, 0.8)}
        accounts.reserve(connection, job.id, who.user_id, 1, part, 1.0)


async def _opened(folder: Path, count: int) -> Services:
    database = await Database.open(folder)
    await database.write(lambda connection: _fill(connection, count))
    await database.close()
    engine: Engine = FakeEngine(manual=True)
    return await open_services(load(None, {"TESSERA_DATA_DIR": str(folder)}), engine, NoSink())


async def _once(services: Services, number: int) -> float:
    order = Order(10**9 + number, Requester(number + 1), PLACE, Action.IMAGINE, PROMPT)
    began = time.perf_counter()
    await services.admission.admit(order)
    return time.perf_counter() - began


async def measure(folder: Path, rounds: int = ROUNDS) -> dict[int, list[float]]:
    """Seconds of each admission, by the length of the queue."""
    houses = {count: await _opened(folder / str(count), count) for count in QUEUES}
    seconds: dict[int, list[float]] = {count: [] for count in QUEUES}
    for number in range(-5, rounds):
        for count, services in houses.items():
            taken = await _once(services, number + 5)
            if number >= 0:
                seconds[count].append(taken)
    for services in houses.values():
        await services.close()
    return seconds


def main() -> None:
    """Print median, 99th percentile and the ratio of medians."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = asyncio.run(measure(Path(folder)))
    medians = {}
    for count, taken in seconds.items():
        medians[count] = statistics.median(taken)
        worst = statistics.quantiles(taken, n=100)[98]
        print(f"{count:>6} queued: median {medians[count] * 1e3:6.2f} ms, p99 {worst * 1e3:6.2f} ms")
    few, many = (medians[count] for count in QUEUES)
    print(f"ratio 10,000 / 10 queued: {many / few:.2f}")


if __name__ == "__main__":
    main()
