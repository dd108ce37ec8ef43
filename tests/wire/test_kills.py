"""kill -9 at each named step, then a second process: all is painted and posted once, the quota is right."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.wire.books import Books
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn, is_progress
from tests.wire.world import Interaction, Message


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


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
async def test_killed_at_each_named_step(discord: StandIn, tmp_path: Path, step: Step) -> None:
    """One order, one death, one restart outside the nonce window."""
    order = await _until_killed(step, discord, tmp_path)
    discord.end_nonce_window()
    async with BotProcess(discord, tmp_path) as bot:
        await _afterwards(step, discord, bot, order)


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


@pytest.mark.parametrize("window", ["inside", "outside"])
async def test_killed_between_the_acceptance_of_a_send_and_its_reply(
    discord: StandIn, tmp_path: Path, window: str
) -> None:
    """The server has the message, the bot does not know; found again, inside the nonce window and outside."""
    async with BotProcess(discord, tmp_path, environ={"WIRE_HELD": "1"}) as bot:
        held = discord.faults.hold("POST", r"/channels/\d+/messages$")
        await discord.slash(discord.user("ann"), "imagine", prompt="a red apple")
        for number in range(600):
            discord.say(discord.user("ben"), f"while it is painted {number}")
        bot.go()
        await discord.wait_for(lambda: grids(discord))
        bot.kill()
        await bot.killed()
        held.released.set()
    if window == "outside":
        discord.end_nonce_window()
    for number in range(600):
        discord.say(discord.user("ben"), f"chatter {number}")
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(1))
        assert len(grids(discord)) == 1
        assert leftovers(discord) == []
        assert books.faults() == []


async def test_killed_with_many_under_way(discord: StandIn, tmp_path: Path) -> None:
    """Several users, some running, some waiting: all of them are painted after the restart, once each."""
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


@pytest.mark.parametrize("point", ["at sent", "before status=posted", "at posting"])
async def test_killed_where_only_the_token_reaches(discord: StandIn, tmp_path: Path, point: str) -> None:
    """No nonce and no history there: the result is an edit of the waiting message, which may be repeated."""
    ann = discord.user("ann")
    elsewhere = discord.world.add_channel("", recipient=ann, closed=True)
    async with BotProcess(discord, tmp_path, crash=point) as bot:
        await discord.slash(ann, "imagine", to=elsewhere, prompt="a red apple")
        await bot.killed()
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(1))
        [result] = discord.world.standing(elsewhere)
        assert result.attachments and result.button("U1") and not is_progress(result)
        await discord.click(ann, result, "U1")
        await discord.wait_for(lambda: books.settled(2))
        assert [len(m.attachments) for m in discord.world.messages if m.channel is elsewhere] == [1, 1]
    assert books.jobs()[0].result_message_id == result.id
    assert [leftovers(discord), books.faults()] == [[], []]


async def test_a_waiting_message_of_a_button_is_no_orphan(discord: StandIn, tmp_path: Path) -> None:
    """Killed after the follow-up and before its id is known: it is found by its Cancel button."""
    async with BotProcess(discord, tmp_path, crash="before message_id") as bot:
        await discord.slash(discord.user("ann"), "imagine", prompt="a red apple")
        [grid] = await discord.wait_for(lambda: discord.results_for("a red apple"))
        await discord.click(discord.user("ann"), grid, "V1")
        await bot.killed()
    assert len(leftovers(discord)) == 1
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(2))
        assert [leftovers(discord), books.faults(), len(grids(discord))] == [[], [], 2]


async def test_three_kills_and_two_crashes_are_no_poison(discord: StandIn, tmp_path: Path) -> None:
    """kill -9 is an operator's; a crash counts as an attempt of the job it interrupts, the third ends it."""
    signals = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGABRT, signal.SIGABRT)
    for number, by in enumerate(signals):
        environ = {"WIRE_SIGNAL": str(int(by))}
        async with BotProcess(discord, tmp_path, crash="at dispatched", environ=environ, ready=False) as bot:
            if number == 0:
                await bot.on_gateway()
                await discord.slash(discord.user("ann"), "imagine", prompt="a red apple", wait=False)
            await bot.killed(by=by)
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        await discord.wait_for(lambda: books.settled(1))
        assert [job.status for job in books.jobs()] == ["posted"] and books.jobs()[0].attempts == 3
        assert books.faults() == []
