"""Every button x {owner, another member, an admin} x {here, elsewhere, another server, unknown, forged}."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.ui.components import BUTTONS
from tests.wire.books import Books
from tests.wire.process import BotProcess
from tests.wire.standin import StandIn
from tests.wire.world import Channel, Interaction, Message, User

ACTIONS = tuple(button.action for button in BUTTONS)
WHOLE = frozenset({"reroll", "cancel", "delete", "parameters", "explain", "paint", "name"})
"""Actions whose ids name no picture."""
FORGED = (
    "",
    "tessera",
    "tessera:",
    "tessera:u",
    "tessera:u:{job}:0:1",
    "tessera:u:{job}:99",
    "tessera:u:{job}:-1",
    "tessera:u:{job}:٣",
    "tessera:u:{job}:0\n",
    "tessera:u:{upper}:0",
    "tessera:u:../../../etc/passwd:0",
    "tessera:u:' OR 1=1 --:0",
    "tessera:grant:{job}",
    "tessera:none:{job}",
    "tessera:delete:{job}:0",
    "tessera:delete:%",
    "tessera:cancel:{short}",
    "other:u:{job}:0",
    "xtessera:u:{job}:0",
    "tessera:u:{job}:0x",
    "MJ::JOB::upsample::1::{job}",
)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a press could have changed."""

    jobs: int
    deleted: int
    spent: float
    pictures: int


def effects(books: Books) -> Effects:
    [jobs] = books.query("SELECT count(*), coalesce(sum(deleted), 0) FROM jobs")
    [spent] = books.query("SELECT coalesce(sum(images), 0) FROM ledger")
    [pictures] = books.query("SELECT count(*) FROM images")
    return Effects(jobs[0], jobs[1], spent[0], pictures[0])


def custom_id(action: str, job: str) -> str:
    return f"tessera:{action}:{job}" + ("" if action in WHOLE else ":0")


async def finished_grid(discord: StandIn, owner: User, books: Books) -> Message:
    await discord.slash(owner, "imagine", prompt="a red apple")
    [grid] = await discord.wait_for(lambda: discord.results_for("a red apple"))
    await discord.wait_for(lambda: books.settled(1))
    return grid


async def refused(discord: StandIn, press: Interaction, what: str) -> None:
    """Until the press was answered, by a sentence that only the one who pressed can see."""
    answers = await discord.wait_for(
        lambda: [m for m in discord.world.messages if m.interaction is press], what=f"answer to {what}"
    )
    assert all(answer.ephemeral and answer.content for answer in answers), what


@pytest.mark.timeout(2400)
async def test_nobody_reaches_what_is_not_theirs(discord: StandIn, tmp_path: Path) -> None:
    ann, mallory = discord.user("ann"), discord.user("mallory")
    elsewhere = discord.world.add_channel("elsewhere")
    abroad = discord.world.add_channel("abroad", recipient=mallory)
    async with BotProcess(discord, tmp_path, environ={"TESSERA_QUOTA__DAY": "0"}) as bot:
        books = Books(bot.data)
        grid = await finished_grid(discord, ann, books)
        job = books.jobs()[0].id
        before = effects(books)
        await _foreign(discord, mallory, grid, job)
        await _forged(discord, mallory, grid, job)
        await _other_places(discord, mallory, job, (elsewhere, abroad))
        await _admin_of_another_server(discord, job)
        assert effects(books) == before
        assert discord.world.message(grid.id) is grid
        assert books.faults() == []
        assert bot.process.returncode is None


def bait(discord: StandIn, ids: Sequence[str], place: Channel | None = None) -> Message:
    """A message of the bot that shows these ids: discord.py drops presses of ids that their message lacks."""
    message = discord.say(discord.world.bot, "bait", place)
    buttons = [{"type": 2, "style": 2, "label": "x", "custom_id": one} for one in ids]
    message.components = [
        {"type": 1, "components": buttons[first : first + 5]} for first in range(0, len(buttons), 5)
    ]
    return message


async def _foreign(discord: StandIn, mallory: User, grid: Message, job: str) -> None:
    """Another member may paint from it, but neither delete nor cancel."""
    ids = [custom_id(action, job) for action in ("delete", "cancel")]
    for one in ids:
        await refused(discord, await discord.press(mallory, bait(discord, ids), one), one)
    await refused(discord, await discord.press(mallory, grid, ids[0]), ids[0])


async def _forged(discord: StandIn, mallory: User, grid: Message, job: str) -> None:
    parts = {"job": job, "upper": job.upper().replace("0", "A"), "short": job[:-1]}
    forged = [text.format(**parts) for text in FORGED]
    for message in (grid, bait(discord, forged)):
        for text in forged:
            await discord.press(mallory, message, text, wait=False)
    await discord.slash(mallory, "info")
    unknown = [custom_id(action, secrets.token_hex(16)) for action in ACTIONS]
    message = bait(discord, unknown)
    for press in await asyncio.gather(*(discord.press(mallory, message, one) for one in unknown)):
        await refused(discord, press, f"{press.data}")


async def _other_places(discord: StandIn, mallory: User, job: str, places: tuple[Channel, ...]) -> None:
    """The id of a job of one place, carried into another by a client that makes up interactions."""
    for place in places:
        ids = [custom_id(action, job) for action in (ACTIONS if place.recipient else ("cancel", "delete"))]
        message = bait(discord, ids, place)
        for one in ids:
            await refused(discord, await discord.press(mallory, message, one), f"{one} in {place.name}")


async def _admin_of_another_server(discord: StandIn, job: str) -> None:
    """Rights in one server are none in another: the same press with another guild id."""
    root, ids = discord.admin(), [custom_id(action, job) for action in ACTIONS]
    message = bait(discord, ids)
    home, discord.world.guild_id = discord.world.guild_id, discord.world.ids.next()
    try:
        for one in ids:
            await refused(discord, await discord.press(root, message, one), f"{one} from abroad")
    finally:
        discord.world.guild_id = home


async def until_deleted(discord: StandIn, message: Message) -> None:
    await discord.wait_for(lambda: message.deleted, what="deleted")


async def test_admins_and_owners_may_delete(discord: StandIn, tmp_path: Path) -> None:
    """The other half of the matrix: refusals above are not because nothing works."""
    async with BotProcess(discord, tmp_path) as bot:
        books = Books(bot.data)
        for who in (discord.user("ann"), discord.admin()):
            grid = await finished_grid(discord, discord.user("ann"), books)
            await discord.press(who, grid, custom_id("delete", books.jobs()[-1].id))
            await until_deleted(discord, grid)
        assert effects(books).pictures == 0
        assert effects(books).deleted == 2
        assert books.faults() == []
