"""Every button x {owner, another member, another server, stale, forged}: nobody has what is not theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.domain.custom_id import CustomId, encode
from bot.domain.job import Job, Place
from bot.store import jobs
from bot.ui.components import BUTTONS
from tests.bot.ui.world import World

OWNERS = frozenset({"cancel", "delete"})
"""What only the owner or an admin may do; everything else is the presser's own job, favourite or answer."""
STRANGE = (
    "tessera:grant:{job}",
    "tessera:u:{job}:99",
    "tessera:v:{job}:4",
    "tessera:favourite:{job}:9",
    "tessera:delete:{short}",
    "form/tessera:v:{job}:0/variation//00000000",
)


async def bait(world: World, ids: list[str]) -> discord.Message:
    """A message of the bot with these buttons, labelled by their number."""
    view = discord.ui.View(timeout=None)
    for number, custom_id in enumerate(ids):
        view.add_item(discord.ui.Button(label=f"b{number}", custom_id=custom_id))
    channel = world.client.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    return await channel.send("bait", view=view)


def every_id(job_id: str) -> list[str]:
    return [encode(CustomId(button.action, job_id, 0)) for button in BUTTONS]


async def effects(world: World) -> tuple[int, int, int, int]:
    """Jobs, deleted ones, favourites, and messages with pictures."""

    def count(connection: Any) -> tuple[int, int, int]:
        queries = (
            "SELECT count(*) FROM jobs",
            "SELECT coalesce(sum(deleted), 0) FROM jobs",
            "SELECT count(*) FROM favourites",
        )
        found = [int(connection.exec_driver_sql(query).scalar()) for query in queries]
        return found[0], found[1], found[2]

    pictures = sum(bool(message.attachments) for message in world.messages())
    return (*await world.services.database.read(count), pictures)


async def refused(world: World, ids: list[str], who: Any) -> list[str]:
    """Press each; the sentences, each for the presser alone."""
    message = await bait(world, ids)
    sentences = []
    for number in range(len(ids)):
        pressed = await who.click(message, label=f"b{number}")
        answers = pressed.followups or ([pressed.response] if pressed.response.content else [])
        assert all(answer.ephemeral for answer in answers), ids[number]
        sentences += [answer.content for answer in answers]
    return sentences


async def test_a_stale_button_says_so_and_does_nothing(world: World) -> None:
    """Of a job that is not here, under a message that tells nothing."""
    before = await effects(world)
    sentences = await refused(world, every_id("ab" * 16), world.ada)
    assert len(sentences) == len(BUTTONS)
    assert all("I no longer have this job" in sentence for sentence in sentences)
    assert await effects(world) == before


async def test_a_button_of_another_server_does_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even for an admin of this one."""
    grid = await world.grid()
    foreign, before = replace(await world.job_of(grid), place=Place(1, 2)), await effects(world)

    async def job(_: object, __: str) -> Job:
        return foreign

    monkeypatch.setattr(type(world.services), "job", job)
    sentences = await refused(world, every_id(foreign.id), world.ada)
    assert len(sentences) == len(BUTTONS)
    assert all("belongs to another server" in sentence for sentence in sentences)
    monkeypatch.undo()
    assert await effects(world) == before


async def test_another_member_owns_only_what_they_make(world: World) -> None:
    """Neither delete nor cancel; jobs made from the picture are the presser's."""
    grid = await world.grid("a red apple --n 1")
    job = await world.job_of(grid)
    owned = [encode(CustomId(action, job.id)) for action in sorted(OWNERS)]
    before = await effects(world)
    sentences = await refused(world, owned, world.max)
    assert len(sentences) == 2 and all("or an admin, may" in sentence for sentence in sentences)
    assert await effects(world) == before
    others = [
        encode(CustomId(one.action, job.id, 0)) for one in BUTTONS if one.action not in {*OWNERS, "cell"}
    ]
    message = await bait(world, others)
    for number in range(len(others)):
        await world.max.click(message, label=f"b{number}")
    made = await world.services.database.read(
        lambda connection: [
            one.requester.user_id
            for one in (
                jobs.find(connection, row[0]) for row in connection.exec_driver_sql("SELECT id FROM jobs")
            )
            if one is not None and one.id != job.id
        ]
    )
    assert made and set(made) == {world.max.id}
    again = await world.services.job(job.id)
    assert again is not None and again.requester.user_id == world.lin.id


async def test_forged_ids_do_nothing(world: World) -> None:
    """Indexes that do not exist, words that are none."""
    grid = await world.grid()
    job = await world.job_of(grid)
    before = await effects(world)
    view = discord.ui.View(timeout=None)
    ids = [one.format(job=job.id, short=job.id[:-1]) for one in STRANGE]
    for number, custom_id in enumerate(ids):
        view.add_item(discord.ui.Button(label=f"b{number}", custom_id=custom_id))
    channel = world.client.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    message = await channel.send("bait", view=view)
    for number in range(len(ids)):
        pressed = await world.lin.click(message, label=f"b{number}")
        assert [told.ephemeral for told in (pressed.followups or [pressed.response])] == [True]
    assert await effects(world) == before
