"""Windows, regions, favourites, facts: pressed in the simulated Discord, down to the posted result."""

from __future__ import annotations

import shutil
from typing import Any

import discord
import pytest

from bot.domain.custom_id import CustomId
from bot.domain.job import Action
from bot.errors import UserError
from bot.ui.forms import Opening, opening
from bot.ui.history import result_of
from bot.ui.studio import _asked
from tests.bot.ui.world import World, button


async def single(world: World, text: str = "a red apple --n 1") -> discord.Message:
    """A result with the buttons of one picture."""
    return await world.grid(text)


async def remixing(world: World, who: Any) -> None:
    await world.services.preferences.change(who.id, remix=True)


PRESSES = {
    "Vary (Subtle)": "Variations (Subtle) by <@{who}> (fast)",
    "Zoom Out 1.5x": "Zoom Out by <@{who}> (fast)",
    "⬅️": "Pan Left by <@{who}> (fast)",
    "Upscale (Creative)": "Upscaled (Creative) by <@{who}> (fast)",
}


@pytest.mark.parametrize("label", PRESSES)
async def test_each_button_makes_its_job(world: World, label: str) -> None:
    """A new message in the known words, as a reply to the picture, by whoever pressed."""
    parent = await single(world)
    await world.max.click(parent, custom_id=button(parent, label).custom_id)
    made = await world.result(2)
    assert made.content.endswith(PRESSES[label].format(who=world.max.id))
    assert made.reference is not None and made.reference.message_id == parent.id
    assert button(world.results()[0], label).style is discord.ButtonStyle.primary


async def test_remix_asks_for_the_prompt_first(world: World) -> None:
    """Changed text is a remix and green; the window is sent off after a restart, and is still understood."""
    parent = await world.grid()
    await remixing(world, world.lin)
    opened = await world.lin.click(parent, label="V2")
    await world.restart()
    await world.lin.submit_modal(opened, {"prompt": "a blue pear"})
    made = await world.result(2)
    assert made.content == f"**a blue pear** - Remix (Strong) by <@{world.lin.id}> (fast)"
    assert button(world.results()[0], "V2").style is discord.ButtonStyle.success


async def test_unchanged_text_is_an_ordinary_variation(world: World) -> None:
    """Every opening has a window of its own."""
    parent = await world.grid()
    await remixing(world, world.lin)
    first = await world.lin.click(parent, label="V1")
    second = await world.lin.click(parent, label="V1")
    assert first.modal["custom_id"] != second.modal["custom_id"]
    await world.lin.submit_modal(second, {"prompt": "a red apple"})
    made = await world.result(2)
    assert made.content == f"**a red apple** - Variations (Strong) by <@{world.lin.id}> (fast)"


async def test_custom_zoom_takes_factor_and_shape(world: World) -> None:
    """As Midjourney writes them; what is out of range is said with the prompt."""
    parent = await single(world)
    opened = await world.lin.click(parent, label="Custom Zoom")
    refused = await world.lin.submit_modal(opened, {"prompt": "a red apple --n 1 --zoom 9"})
    told = (refused.followups or [refused.response])[0]
    assert "from 1 to 2" in told.content and "a red apple --n 1 --zoom 9" in told.content
    opened = await world.lin.click(parent, label="Custom Zoom")
    await world.lin.submit_modal(opened, {"prompt": "a red apple --n 1 --ar 2:1 --zoom 1"})
    job = await world.job_of(await world.result(2))
    assert job.action is Action.ZOOM_OUT and job.change is not None
    assert (job.change.factor, job.change.ratio, job.change.remixed) == (1.0, (2, 1), False)


async def test_regions_are_chosen_by_number(world: World) -> None:
    """Several, toggled, for the presser alone; then painted with a text."""
    parent = await single(world)
    opened = await world.lin.click(parent, label="Vary (Region)")
    panel = opened.followups[0]
    assert panel.ephemeral and panel.message.attachments[0].filename == "regions.png"
    nothing = await world.lin.click(panel.message, label="Paint")
    assert nothing.response.content == "Choose one or more of the numbered fields first, then press Paint."
    for label in ("1", "5", "9", "5"):
        await world.lin.click(panel.message, label=label)
    window = await world.lin.click(panel.message, label="Paint")
    await world.lin.submit_modal(window, {"prompt": "a blue pear --n 1"})
    made = await world.result(2)
    job = await world.job_of(made)
    assert job.change is not None and job.change.cells == (0, 8)
    assert made.content == f"**a blue pear --n 1** - Variations (Region) by <@{world.lin.id}> (fast)"
    unable = await world.lin.click(panel.message, label="Name it")
    assert "choose numbered fields instead" in unable.response.content


async def test_a_favourite_is_kept_and_taken_out(world: World) -> None:
    """Each to their own; the heart has a colour while anybody holds it."""
    parent = await single(world)
    for word, style in (("Kept", discord.ButtonStyle.primary), ("Taken", discord.ButtonStyle.secondary)):
        told = await world.max.click(parent, custom_id=button(parent, "❤️").custom_id)
        assert told.followups[0].ephemeral and told.followups[0].content.startswith(word)
        assert button(world.results()[0], "❤️").style is style


async def test_seed_and_explanation_are_one_click_away(world: World) -> None:
    """In the reader's language, for the presser alone."""
    grid = await world.grid("a red apple --seed 7 --c 20")
    told = await world.max.click(grid, label="Seed & parameters")
    assert told.followups[0].ephemeral and "#1 7, #2 8" in told.followups[0].content
    told = await world.max.click(grid, label="Explain")
    assert told.followups[0].ephemeral and "--chaos 20" in told.followups[0].content
    assert "4 images" in told.followups[0].content


@pytest.mark.parametrize("label", ["Seed & parameters", "Explain"])
async def test_what_is_hidden_is_told_to_its_owner_alone(world: World, label: str) -> None:
    grid = await world.grid("a red apple --seed 7 --stealth")
    told = await world.max.click(grid, label=label)
    (said,) = told.followups
    assert said.content == "This picture is hidden (stealth); only its owner sees its parameters."
    told = await world.lin.click(grid, label=label)
    assert "7" in told.followups[0].content


WITHOUT = {
    Action.IMAGINE,
    Action.UPSCALE,
    Action.UPSCALE_SUBTLE,
    Action.UPSCALE_CREATIVE,
    Action.MAKE_SQUARE,
}
"""Made without a window."""


@pytest.mark.parametrize("action", Action)
def test_a_forged_window_makes_nothing_for_free(action: Action) -> None:
    """Only the buttons that open a window are taken from the id of one."""
    what = Opening(CustomId("v", "0" * 32, 0), action)
    assert (opening(what.encode()) == what) is (action not in WITHOUT)


async def test_a_window_makes_one_job(world: World) -> None:
    grid = await world.grid()
    await remixing(world, world.lin)
    refused = await world.lin.submit_modal(
        await world.lin.click(grid, label="V1"), {"prompt": "a {red, blue} pear"}
    )
    assert "leave `{a, b}` and `--repeat` out" in (refused.followups or [refused.response])[0].content


@pytest.mark.parametrize("label", ["U3", "V2", "🔄"])
async def test_buttons_work_after_the_database_is_gone(world: World, label: str) -> None:
    """By what the picture of the message says; the owner is the one it names."""
    grid = await world.grid("a red apple --seed 7")
    before = await world.job_of(grid)
    await world.stop()
    shutil.rmtree(world.settings.data.dir)
    client = await world.open()
    await world.env.restart_bot(client)
    world.work()
    assert await world.services.job(before.id) is None
    await world.max.click(grid, custom_id=button(grid, label).custom_id)
    made = await world.result(2)
    assert made.content.startswith("**a red apple")
    assert made.reference is not None and made.reference.message_id == grid.id
    again = await world.services.job(result_of(grid) or "")
    assert again is not None and (again.requester, again.seeds) == (before.requester, before.seeds)


async def test_a_window_shows_a_prompt_whole_or_not_at_all(world: World) -> None:
    """What a field cannot hold would be gone from the prompt that comes back."""
    grid = await single(world, "apple " * 700 + "--n 1")
    told = await world.lin.click(grid, label="Custom Zoom")
    assert told.modal is None and "too long for a window" in told.response.content


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("the man's left-hand glove", "the man's left-hand glove"),
        ("天空 和 云", "天空 和 云"),
        ("@everyone <@1> [x](https://evil.example) **sky**\n`", "everyone 1 x https evil example sky"),
    ],
)
def test_the_name_of_a_region_is_words_alone(typed: str, name: str) -> None:
    """It comes back in a sentence where nothing of that name is seen."""
    what = Opening(CustomId("name", "0" * 32), Action.VARY_REGION)
    change, text = _asked(what, {"region": typed}, "a cat")
    assert change is not None and (change.region, text) == (name, "a cat")


def test_a_region_needs_a_name() -> None:
    """One that is no more than signs is none."""
    with pytest.raises(UserError, match="Name what should be painted anew"):
        _asked(Opening(CustomId("name", "0" * 32), Action.VARY_REGION), {"region": "<@> **"}, "a cat")
