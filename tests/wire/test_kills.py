"""kill -9 at each named step, then a second process: all is painted and posted once, the quota is right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.wire.books import Books
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn, is_progress
from tests.wire.world import Interaction, Message

AT_ONCE = 2
"""Scenarios side by side; each has a process of its own, and the machine has two cores."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the first process dies, and what must come of the order all the same."""

    name: str
    point: str
    prompt: str = "a red apple --seed 7 --steps 4"
    admitted: bool = True
    painted: bool = True


FAILING = "FAIL a red apple --steps 4"
STEPS = (
    Step("admission not committed", "before insert", admitted=False),
    Step("admitted", "at admitted"),
    Step("not yet dispatched", "before status=running"),
    Step("dispatched", "at dispatched"),
    Step("finished", "at finished"),
    Step("first file not in place", "before replace 1"),
    Step("some files in place", "after replace 2"),
    Step("files written", "at files_written"),
    Step("rendered", "at rendered"),
    Step("not yet posting", "before status=posting"),
    Step("posting", "at posting"),
    Step("sent", "at sent"),
    Step("posted", "at posted"),
    Step("failed, not yet refunded", "before status=failed", FAILING, painted=False),
    Step("refunded", "at refunded", FAILING, painted=False),
    Step("told, not remembered", "before told=1", FAILING, painted=False),
)


@pytest.mark.timeout(2400)
async def test_killed_at_each_named_step(tmp_path: Path) -> None:
    scenarios = [survive(step, tmp_path / str(n)) for n, step in enumerate(STEPS)]
    assert await side_by_side(scenarios) == []


async def side_by_side(scenarios: Iterable[Awaitable[None]]) -> list[str]:
    """Run some at a time; what failed, in words."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Awaitable[None]) -> str:
        async with free:
            try:
                await scenario
            except Exception as error:
                return "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            return ""

    return [words for words in await asyncio.gather(*map(one, scenarios)) if words]


async def survive(step: Step, folder: Path) -> None:
    """One order, one death, one restart outside the nonce window."""
    async with StandIn() as discord:
        try:
            order = await _until_killed(step, discord, folder)
            discord.end_nonce_window()
            async with BotProcess(discord, folder) as bot:
                await _afterwards(step, discord, bot, order)
        except BaseException as error:
            error.add_note(f"step: {step.name}")
            raise


async def _until_killed(step: Step, discord: StandIn, folder: Path) -> Interaction:
    async with BotProcess(discord, folder, crash=step.point) as bot:
        order = await discord.slash(discord.user("ann"), "imagine", prompt=step.prompt, wait=False)
        await bot.killed()
        return order


async def _afterwards(step: Step, discord: StandIn, bot: BotProcess, order: Interaction) -> None:
    books, ann = Books(bot.data), order.user
    if not step.admitted:
        assert books.jobs() == []
        await discord.slash(ann, "imagine", prompt=step.prompt)
    await discord.wait_for(lambda: books.settled(1), what="everything told")
    posted = grids(discord)
    assert len(posted) == (1 if step.painted else 0), f"{len(posted)} results"
    if not step.painted:
        assert any("told to fail" in m.content for m in discord.world.standing())
    assert books.spent(ann.id) == (4.0 if step.painted else 0.0)
    bot.terminate()
    assert await bot.ended() == 0
    assert books.faults() == []


def grids(discord: StandIn) -> list[Message]:
    """Every result ever posted, also those that were deleted."""
    return [m for m in discord.world.messages if m.attachments and not is_progress(m) and not m.stages[1:]]


def leftovers(discord: StandIn) -> list[Message]:
    """Messages that still promise something."""
    return [m for m in discord.world.standing() if is_progress(m) or m.loading]


async def test_killed_between_the_acceptance_of_a_send_and_its_reply(tmp_path: Path) -> None:
    """The server has the message, the bot does not know; found again, inside the nonce window and outside."""
    scenarios = (_accepted(tmp_path / name, name == "outside") for name in ("inside", "outside"))
    assert await side_by_side(scenarios) == []


async def _accepted(folder: Path, outside: bool) -> None:
    async with StandIn() as discord:
        async with BotProcess(discord, folder) as bot:
            held = discord.faults.hold("POST", r"/channels/\d+/messages$")
            await discord.slash(discord.user("ann"), "imagine", prompt="a red apple")
            await discord.wait_for(lambda: grids(discord))
            bot.kill()
            await bot.killed()
            held.released.set()
        if outside:
            discord.end_nonce_window()
        for number in range(150):
            discord.say(discord.user("ben"), f"chatter {number}")
        async with BotProcess(discord, folder) as bot:
            books = Books(bot.data)
            await discord.wait_for(lambda: books.settled(1))
            assert len(grids(discord)) == 1
            assert leftovers(discord) == []
            assert books.faults() == []


async def test_killed_with_many_under_way(tmp_path: Path) -> None:
    """Several users, some running, some waiting: all of them are painted after the restart, once each."""
    async with StandIn() as discord:
        names = ("ann", "ben", "cat", "dan")
        async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
            for name in names:
                for number in range(3):
                    await discord.slash(
                        discord.user(name), "imagine", prompt=f"{name}s picture {number} --steps 4"
                    )
            books = Books(bot.data)
            await discord.wait_for(lambda: len(books.jobs()) == 12)
            bot.kill()
            await bot.killed()
        discord.expire_all()
        async with BotProcess(discord, tmp_path) as bot:
            await discord.wait_for(lambda: books.settled(12))
            for name in names:
                for number in range(3):
                    assert len(discord.results_for(f"{name}s picture {number}")) == 1
            assert leftovers(discord) == []
            assert books.faults() == []
