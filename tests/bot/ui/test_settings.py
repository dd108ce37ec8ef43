"""/settings, the toggles and /prefer: what is set holds for prompts, and flags of a prompt go before."""

from __future__ import annotations

from typing import Any

import discord
import pytest

from bot.domain.preferences import Preferences, Variability
from tests.bot.ui.world import World, button


async def kept(world: World) -> Preferences:
    return await world.services.preferences.of(world.lin.id)


async def test_the_panel_sets_everything(world: World) -> None:
    """Each press changes the message in place; what holds is green."""
    asked = await world.lin.slash(world.channel, "settings")
    assert asked.ephemeral
    assert "Model: the server's (sketch)" in asked.response.content
    panel = asked.response.message
    for label in ("Stylize high", "Subtle variation", "Remix", "Stealth", "Relax"):
        await world.lin.click(panel, label=label)
    assert await kept(world) == Preferences(
        stylize=250, variation=Variability.SUBTLE, remix=True, visibility="stealth", speed="relax"
    )
    content = asked.response.content
    assert "Stylize: 250" in content and "Mode: Relax, Stealth" in content and "Remix: on" in content
    panel = asked.response.message
    for label in ("Stylize high", "Subtle variation", "Remix", "Stealth", "Relax"):
        assert button(panel, label).style is discord.ButtonStyle.success
    assert button(panel, "Fast").style is discord.ButtonStyle.secondary
    await world.lin.click(panel, label="Reset")
    assert await kept(world) == Preferences()


async def test_the_panel_works_after_a_restart_and_chooses_a_model(world: World) -> None:
    """Its state is in the rows and its custom ids; the answer is the presser's own."""
    asked = await world.lin.slash(world.channel, "settings")
    panel = asked.response.message
    await world.restart()
    await world.lin.click(panel, label="Turbo")
    assert (await kept(world)).speed == "turbo"
    name = next(iter(world.engine.models()))
    await world.lin.select(panel, [name])
    assert (await kept(world)).model == name
    await world.lin.select(panel, ["-"])
    assert (await kept(world)).model == ""


async def test_settings_hold_for_prompts_until_a_flag_says_otherwise(world: World) -> None:
    """Stealth and speed are in the message, as on Midjourney."""
    for name in ("relax", "stealth"):
        assert (await world.lin.slash(world.channel, name)).ephemeral
    grid = await world.grid("a cat")
    assert grid.content == f"**a cat --stealth --relax** - <@{world.lin.id}> (relaxed, stealth)"
    grid = await world.grid("a cat --fast --public")
    assert grid.content == f"**a cat --public --fast** - <@{world.lin.id}> (fast)"
    facts = await world.lin.slash(world.channel, "info")
    assert "Mode: Relax, Stealth" in facts.response.content


@pytest.mark.parametrize(
    ("command", "field", "value"),
    [
        ("fast", "speed", "fast"),
        ("relax", "speed", "relax"),
        ("turbo", "speed", "turbo"),
        ("stealth", "visibility", "stealth"),
        ("public", "visibility", "public"),
        ("prefer remix", "remix", True),
        ("prefer variability", "variation", Variability.SUBTLE),
        ("prefer auto_dm", "auto_dm", True),
    ],
)
async def test_toggles(world: World, command: str, field: str, value: Any) -> None:
    """Each says what holds from now on, to the asker alone."""
    asked = await world.lin.slash(world.channel, command)
    assert asked.ephemeral and len(asked.response.content) > 20
    assert getattr(await kept(world), field) == value
    if command.startswith("prefer"):
        await world.lin.slash(world.channel, command)
        assert getattr(await kept(world), field) == getattr(Preferences(), field)


async def test_options_and_suffix(world: World) -> None:
    """Set, listed, used, taken away; a bad one is refused when it is set, with what was typed."""
    said = await world.lin.slash(world.channel, "prefer option list")
    assert said.response.content == "You have no options; /prefer option set makes one, 20 at most."
    said = await world.lin.slash(world.channel, "prefer option set", name="--mine", value="--ar 3:2")
    assert said.response.content == "`--mine` stands for `--ar 3:2` from now on."
    said = await world.lin.slash(world.channel, "prefer option list")
    assert said.response.content == "Your options:\n- `--mine` --ar 3:2"
    said = await world.lin.slash(world.channel, "prefer suffix", value="soft light --tile")
    assert said.response.content == "Behind each of your prompts from now on: `soft light --tile`"
    asked = await world.imagine("a cat --mine")
    assert asked.response.content.startswith("**a cat soft light --ar 3:2 --tile** - ")
    bad = await world.lin.slash(world.channel, "prefer suffix", value="--ar 99:1")
    assert bad.ephemeral and "`--ar 99:1`: the value must be" in bad.response.content
    assert "```\n--ar 99:1\n```" in bad.response.content
    await world.lin.slash(world.channel, "prefer suffix")
    said = await world.lin.slash(world.channel, "prefer option set", name="mine")
    assert said.response.content == "`--mine` is gone."
    asked = await world.imagine("a cat --mine")
    assert "`--mine`: there is no such flag" in asked.response.content


async def test_hostile_options_stay_text(world: World) -> None:
    """A list of them pings nobody and breaks no message."""
    await world.lin.slash(world.channel, "prefer option set", name="evil", value="@everyone ``` **x** <@1>")
    said = await world.lin.slash(world.channel, "prefer option list")
    assert "@everyone" not in said.response.content and len(said.response.content) <= 2000
    assert world.env.http_requests[-1].json["allowed_mentions"] == {"parse": []}
