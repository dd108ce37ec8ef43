"""U, V, re-roll, delete: by anyone, after a restart, without files; and refused where they should be."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import Any

import discord
import pytest
from PIL import Image

from bot.domain.job import Action, JobStatus, Place
from bot.services.admission import Admitted
from bot.ui.components import BUTTONS
from bot.ui.desk import Desk
from bot.ui.history import result_of
from bot.ui.presses import TWICE
from tests.bot.ui.world import World, button, labels


async def pixels(message: discord.Message) -> bytes:
    """The first attachment, decoded."""
    with Image.open(io.BytesIO(await message.attachments[0].read())) as opened:
        return opened.convert("RGB").tobytes()


async def test_u_posts_one_picture_at_full_size(world: World) -> None:
    """As a reply to the grid, with its parameters in the PNG, and free."""
    grid = await world.grid("a red apple --seed 7")
    await world.lin.click(grid, label="U2")
    single = await world.result(2)
    assert single.content == f"**a red apple --seed 7** - Image #2 <@{world.lin.id}>"
    assert single.reference is not None and single.reference.message_id == grid.id
    assert labels(single)[0] == ["Upscale (Subtle)", "Upscale (Creative)"]
    with Image.open(io.BytesIO(await single.attachments[0].read())) as opened:
        assert opened.size == (256, 256)
        assert "Seed: " in opened.info["parameters"]
    facts = await world.lin.slash(world.channel, "info")
    assert "96 images left of 100" in facts.response.content


async def test_u_shows_the_right_quarter(world: World) -> None:
    """Picture 3 of the grid is the lower left one."""
    grid = await world.grid()
    await world.lin.click(grid, label="U3")
    single = await world.result(2)
    with Image.open(io.BytesIO(await grid.attachments[0].read())) as sheet:
        assert sheet.convert("RGB").crop((0, 256, 256, 512)).tobytes() == await pixels(single)


async def test_v_paints_variations_for_whoever_pressed(world: World) -> None:
    """Anyone may press; who presses pays."""
    grid = await world.grid()
    await world.max.click(grid, label="V3")
    varied = await world.result(2)
    assert varied.content == f"**a red apple** - Variations (Strong) by <@{world.max.id}> (fast)"
    assert varied.reference is not None and varied.reference.message_id == grid.id
    job = await world.job_of(varied)
    assert (job.action, job.index, job.requester.user_id) == (Action.VARIATION, 2, world.max.id)
    facts = await world.max.slash(world.channel, "info")
    assert "96 images left of 100" in facts.response.content


async def test_reroll_paints_the_prompt_again(world: World) -> None:
    """With other seeds."""
    grid = await world.grid()
    await world.lin.click(grid, custom_id=button(grid, "🔄").custom_id)
    again = await world.result(2)
    assert again.content == f"**a red apple** - <@{world.lin.id}> (fast)"
    assert (await world.job_of(again)).seeds != (await world.job_of(grid)).seeds


async def test_used_buttons_change_colour_and_stay_usable(world: World) -> None:
    """One after the other, on the same message."""
    grid = await world.grid()
    for label in ("U2", "V3"):
        await world.lin.click(grid, label=label)
        await world.result(len(world.results()))
        grid = world.results()[0]
        assert button(grid, label).style is discord.ButtonStyle.primary
        assert not button(grid, label).disabled
    assert button(grid, "U1").style is discord.ButtonStyle.secondary
    await world.lin.click(grid, label="U2")


async def test_a_double_click_is_one_order(world: World) -> None:
    """The second is told so, to whoever clicked alone; another person's click is another order."""
    grid = await world.grid()
    await world.lin.click(grid, label="V1")
    again = await world.lin.click(grid, label="V1")
    assert again.response.ephemeral and again.response.message.content == TWICE
    await world.max.click(grid, label="V1")
    for number in (2, 3):
        await world.result(number)
    assert sorted(job.requester.user_id for job in await world.rows(JobStatus.POSTED)) == sorted(
        [world.lin.id, world.lin.id, world.max.id]
    )
    await world.lin.click(grid, label="V1")
    await world.result(4)


async def test_variations_of_a_single_picture(world: World) -> None:
    """The button under a U result."""
    grid = await world.grid()
    await world.lin.click(grid, label="U4")
    single = await world.result(2)
    await world.lin.click(single, label="Vary (Strong)")
    varied = await world.result(3)
    job = await world.job_of(varied)
    assert (job.action, job.parent_id, job.index) == (Action.VARIATION, result_of(single), 0)
    assert varied.reference is not None and varied.reference.message_id == single.id
    assert button(world.results()[1], "Vary (Strong)").style is discord.ButtonStyle.primary


@pytest.mark.parametrize("label", ["U1", "V1", "🔄"])
async def test_buttons_work_after_a_restart(world: World, label: str) -> None:
    """Everything a click needs is in its custom id and the rows."""
    grid = await world.grid()
    await world.restart()
    await world.lin.click(grid, custom_id=button(grid, label).custom_id)
    assert "a red apple" in (await world.result(2)).content


@pytest.mark.parametrize("label", ["U1", "V1"])
async def test_pictures_whose_files_are_gone_are_made_again(world: World, label: str) -> None:
    """From the seed: the same picture."""
    grid = await world.grid()
    for path in (world.settings.data.dir / "images").rglob("*.png"):
        path.unlink()
    await world.lin.click(grid, label=label)
    made = await world.result(2)
    if label == "U1":
        with Image.open(io.BytesIO(await grid.attachments[0].read())) as sheet:
            assert sheet.convert("RGB").crop((0, 0, 256, 256)).tobytes() == await pixels(made)


async def test_delete_takes_message_and_pictures_away(world: World) -> None:
    """By the owner; the pictures are no longer on the disk."""
    grid = await world.grid()
    pressed = await world.lin.click(grid, custom_id=button(grid, "🗑️").custom_id)
    assert world.messages() == [] or all(message.id != grid.id for message in world.messages())
    assert pressed.followups[0].content == "Deleted: the pictures and what I stored of them are gone."
    assert list((world.settings.data.dir / "images").rglob("*.png")) == []


async def test_delete_by_others_is_refused(world: World) -> None:
    """With a sentence, and no effect."""
    grid = await world.grid()
    pressed = await world.max.click(grid, custom_id=button(grid, "🗑️").custom_id)
    assert pressed.followups[0].ephemeral
    assert "or an admin, may delete it" in pressed.followups[0].content
    assert [message.id for message in world.results()] == [grid.id]
    assert await world.services.job(result_of(grid) or "") is not None


async def test_delete_by_an_admin(world: World) -> None:
    """Servers must be able to clean up."""
    grid = await world.grid()
    await world.ada.click(grid, custom_id=button(grid, "🗑️").custom_id)
    assert world.results() == []


@pytest.mark.parametrize("label", ["U1", "V1", "🔄", "🗑️"])
async def test_buttons_of_a_deleted_job_say_what_happened(world: World, label: str) -> None:
    """Somebody else's copy of the message may still be on a screen."""
    grid = await world.grid()
    owner = (await world.job_of(grid)).requester
    await world.services.delete(result_of(grid) or "", owner)
    pressed = await world.lin.click(grid, custom_id=button(grid, label).custom_id)
    assert pressed.followups[0].ephemeral
    assert "was deleted" in pressed.followups[0].content
    assert [message.id for message in world.results()] == [grid.id]


@pytest.mark.parametrize("action", [kind.action for kind in BUTTONS])
async def test_buttons_of_another_servers_job_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """As if forged: the custom id names a job of a guild that the presser is not in."""
    grid = await world.grid()
    foreign = replace(await world.job_of(grid), place=Place(1, 2))

    async def job(_: object, __: str) -> object:
        return foreign

    monkeypatch.setattr(type(world.services), "job", job)
    view = discord.ui.View(timeout=None)
    custom_id = f"tessera:{action}:{'ab' * 16}:0"
    view.add_item(discord.ui.Button(label="forged", custom_id=custom_id))
    channel = world.client.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    message = await channel.send("forged", view=view)
    pressed = await world.ada.click(message, label="forged")
    # A button that opens a window has no time to say first that it heard.
    told = pressed.followups or [pressed.response]
    assert [answer.content for answer in told] == [
        "This button belongs to another server; use /imagine to paint it here."
    ]
    assert all(answer.ephemeral for answer in told)
    facts = await world.services.queue()
    assert (facts.queued, facts.running) == (0, 0)
    assert len(world.results()) == (2 if action == "delete" else 1)


async def test_an_index_out_of_range_is_refused(world: World) -> None:
    """A grid of four has no seventh picture."""
    grid = await world.grid()
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="forged", custom_id=f"tessera:u:{result_of(grid)}:6"))
    channel = world.client.get_channel(world.channel.id)
    assert isinstance(channel, discord.TextChannel)
    pressed = await world.lin.click(await channel.send("forged", view=view), label="forged")
    assert pressed.followups[0].ephemeral
    assert len(world.results()) == 1


async def test_news_never_overtake_the_waiting_message(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """U is done before Discord has taken the waiting message; it must not stay behind."""
    grid = await world.grid()
    gate, send = asyncio.Event(), Desk._send_waiting

    async def slow(desk: Desk, interaction: discord.Interaction[Any], admitted: Admitted) -> discord.Message:
        await world.env.external_wait(gate.wait(), reason="Discord is slow")
        return await send(desk, interaction, admitted)

    monkeypatch.setattr(Desk, "_send_waiting", slow)
    await world.lin.click(grid, label="U1")
    row = await world.until_row(JobStatus.POSTING)
    gate.set()
    single = await world.result(2)
    assert result_of(single) == row.id
    assert [message.id for message in world.messages()] == [grid.id, single.id]


async def test_grids_of_any_size(world: World) -> None:
    """Nine pictures: U9 is the ninth."""
    grid = await world.grid("a red apple --n 9")
    assert sum(len(row) for row in labels(grid)) == 22
    await world.lin.click(grid, label="U9")
    assert (await world.result(2)).content.endswith(f"Image #9 <@{world.lin.id}>")
