"""Many jobs, many random ends: ``python -m tests.wire.soak --jobs 1000 --kills 50 --drains 50``.

Users order, press U and V and re-roll; the process is killed or asked to stop at random moments; one send in
seven loses its reply; at every other restart no nonce is remembered any more. In the end nothing may be lost,
posted twice or charged twice, and who was asked to stop did so in time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.wire.books import Books
from tests.wire.faults import Fault, Way
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn, is_progress
from tests.wire.world import Interaction, Message, User

PER_USER = 6
"""Jobs of one user under way at a time, within the limits of 3 running and 10 waiting."""
DRAIN_S = 30.0
"""Within which the process ends by itself when it is asked to."""
ENVIRON = {
    "TESSERA_QUOTA__DAY": "0",
    "TESSERA_ENGINE__PREVIEW_INTERVAL": "1.0",
}


@dataclass
class Report:
    """What came of it; ``faults`` is empty when all is well."""

    admitted: int = 0
    posted: int = 0
    given_up: int = 0
    """Jobs hit by too many kills while running: taken for poison, refunded, and their users told."""
    unposted: int = 0
    duplicates: int = 0
    kills: int = 0
    drains: int = 0
    slowest: float = 0.0
    """Seconds of the drain that took longest."""
    dropped: int = 0
    seconds: float = 0.0
    leftovers: int = 0
    """Waiting messages that nobody will ever edit: no loss, but untidy."""
    met_at: Counter[str] = field(default_factory=Counter)
    """Statuses of jobs at the moments of the kills and drains."""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {status}" for status, count in self.met_at.most_common())
        return (
            f"{self.admitted} jobs admitted, {self.kills} kills (-9), {self.drains} drains of at most "
            f"{self.slowest:.1f} s, {self.dropped} replies dropped, {self.seconds:.0f} s\n"
            f"posted once {self.posted}, lost {self.unposted}, twice {self.duplicates}, "
            f"given up and told {self.given_up}, orphaned waiting messages {self.leftovers}\n"
            f"at those moments, jobs were: {states}\n" + "\n".join(self.faults or ["the books balance"])
        )


class Crowd:
    """Users who order until ``wanted`` jobs have been admitted, whatever happens to the bot meanwhile."""

    def __init__(self, discord: StandIn, books: Books, wanted: int, dice: random.Random) -> None:
        self._discord = discord
        self._books = books
        self._dice = dice
        self._wanted = wanted
        self._users = [discord.user(f"user{number}") for number in range(max(3, min(20, wanted // 10)))]
        self._number = 0

    async def order(self) -> None:
        """Until enough rows are there; orders that a kill swallowed are simply made again."""
        while len(jobs := self._books.jobs()) < self._wanted:
            await self._discord.connected()
            # An empty round would spin, and the stand-in, of the same loop, would answer nobody.
            free = await self._discord.wait_for(self._free, 120.0, "somebody free to order")
            sent = [await self._one(user) for user in free[: self._wanted - len(jobs)]]
            await self._decided(sent)

    def _free(self) -> list[User]:
        """Who has room for another job."""
        open_jobs = Counter(job.user_id for job in self._books.jobs() if not job.told)
        return [user for user in self._users if open_jobs[user.id] < PER_USER]

    async def _one(self, user: User) -> Interaction:
        results = self._discord.results()
        if results and self._dice.random() < 0.4:
            message = self._dice.choice(results[-30:])
            buttons = [b for b in message.buttons if b["custom_id"].split(":")[1] in ("u", "v", "reroll")]
            if buttons:
                wanted = self._dice.choice(buttons)["custom_id"]
                return await self._discord.press(user, message, wanted, wait=False)
        self._number += 1
        return await self._discord.slash(user, "imagine", prompt=f"soak {self._number} --steps 6", wait=False)

    async def _decided(self, sent: list[Interaction]) -> None:
        """Until each order is a row or was refused, or the bot is gone."""
        ids = {one.id for one in sent if not one.said}

        def decided() -> bool:
            rows = {job.interaction_id for job in self._books.jobs()}
            refused = {one.id for one in sent if any(m.ephemeral for m in one.answers)}
            return not self._discord.gateway.connected or ids <= rows | refused

        await self._discord.wait_for(decided, 20.0, "orders decided")


async def soak(folder: Path, jobs: int, kills: int, drains: int, seed: int) -> Report:
    """Run it; the report says what went wrong, nothing is raised for it."""
    dice, began = random.Random(seed), time.monotonic()
    report = Report()
    async with StandIn() as discord:
        books = Books(folder / "data")
        drop = Fault(Way.DROP, "POST", re.compile(r"/channels/\d+/messages$"), times=jobs, every=7)
        discord.faults.add(drop)
        crowd = asyncio.create_task(Crowd(discord, books, jobs, dice).order())
        for end in dice.sample([_killed] * kills + [_drained] * drains, kills + drains):
            await _ended_once(end, discord, folder, books, dice, report)
        async with BotProcess(discord, folder, environ=ENVIRON) as bot:
            await crowd
            try:
                await discord.wait_for(lambda: books.settled(jobs), 120.0 + jobs, "everything told")
            except AssertionError as error:
                report.faults.append(str(error))
            bot.terminate()
            code = await bot.ended()
            report.faults += [f"it ended with {code}"] if code else []
        report.dropped = drop.met
        _count(report, discord, books)
    report.seconds = time.monotonic() - began
    return report


async def _ended_once(
    end: Callable[[BotProcess, Report], Awaitable[None]],
    discord: StandIn,
    folder: Path,
    books: Books,
    dice: random.Random,
    report: Report,
) -> None:
    # As if more than an hour lay between two kills: else the bot would space its logins.
    (folder / "data" / "logins.json").unlink(missing_ok=True)
    async with BotProcess(discord, folder, environ=ENVIRON) as bot:
        ended = asyncio.ensure_future(bot.process.wait())
        await asyncio.wait({ended}, timeout=dice.uniform(0.05, 2.5))
        if ended.done():
            report.faults.append(f"it ended by itself with {ended.result()}: {bot.log[-2000:]}")
            return
        await end(bot, report)
        ended.cancel()
    report.met_at.update(job.status for job in books.jobs() if not job.told)
    if dice.random() < 0.5:
        discord.end_nonce_window()


async def _killed(bot: BotProcess, report: Report) -> None:
    bot.kill()
    await bot.killed()
    report.kills += 1


async def _drained(bot: BotProcess, report: Report) -> None:
    began = time.monotonic()
    bot.terminate()
    code = await bot.ended()
    took = time.monotonic() - began
    report.drains += 1
    report.slowest = max(report.slowest, took)
    if code or took > DRAIN_S:
        report.faults.append(f"asked to stop, it ended with {code} after {took:.1f} s: {bot.log[-2000:]}")


def _count(report: Report, discord: StandIn, books: Books) -> None:
    results = Counter(job_of(message) for message in discord.world.messages)
    rows = books.jobs()
    report.admitted = len(rows)
    report.posted = sum(results[job.id] == 1 for job in rows)
    report.duplicates = sum(results[job.id] > 1 for job in rows)
    report.given_up = sum(job.status == "failed" and job.told and job.attempts >= 3 for job in rows)
    unposted = [job for job in rows if not results[job.id] and job.status != "failed"]
    report.unposted = len(unposted)
    owed = {job.interaction_id for job in rows}
    report.leftovers = sum(
        (is_progress(m) or m.loading) and m.interaction is not None and m.interaction.id in owed
        for m in discord.world.standing()
    )
    report.faults += [f"job {job.id} ended as {job.status} after {job.attempts} attempts" for job in unposted]
    report.faults += books.faults()
    if discord.traffic.peak > 45:
        report.faults.append(f"{discord.traffic.peak} requests in one second")


def job_of(message: Message) -> str | None:
    """The job whose result this message is: only results can be deleted."""
    for button in message.buttons:
        parts = button["custom_id"].split(":")
        if parts[1] == "delete":
            return str(parts[2])
    return None


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.wire.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--drains", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tessera-soak-") as folder:
        report = asyncio.run(soak(Path(folder), asked.jobs, asked.kills, asked.drains, asked.seed))
    print(report)
    sys.exit(1 if report.faults or report.duplicates or report.unposted else 0)


if __name__ == "__main__":
    main()
