"""Every command: described, funnelled, and answering in one message; quotas for admins only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.config import Discord, Quota, Settings
from bot.domain.flags import FLAGS
from bot.ui.client import TesseraClient
from bot.ui.commands import COMMANDS
from bot.ui.commands.help import TOPICS, parts, text
from bot.ui.commands.menus import MENUS
from bot.ui.translator import Translator
from bot.ui.tree import Tree
from tests.bot.ui.world import World, answers, playing

ADMINS_ONLY = "Only admins may see or change quotas; /info shows your own."


def quota_command(world: World) -> Any:
    """The command as Discord knows it."""
    commands = world.env.backend.visible_commands(user_id=world.ada.id, channel_id=world.channel.id)
    return next(command for command in commands if command["name"] == "quota")


async def test_no_two_names_are_one_in_chinese() -> None:
    """Discord refuses all commands when two of a level have one name."""
    tree = TesseraClient(Settings()).tree
    for kind in (app_commands.ContextMenu, app_commands.Command | app_commands.Group):
        level = [command for command in (*COMMANDS, *MENUS) if isinstance(command, kind)]
        payloads = [await command.get_translated_payload(tree, Translator()) for command in level]
        names = [payload["name_localizations"]["zh-CN"] for payload in payloads]
        assert len(set(names)) == len(names)
        for payload in payloads:
            inner = [option["name_localizations"]["zh-CN"] for option in payload.get("options", [])]
            assert len(set(inner)) == len(inner)


def test_admins_alone_are_shown_what_is_theirs() -> None:
    """By Discord's own means, beside the check at every call."""
    for command in COMMANDS:
        permissions = command.default_permissions
        assert (permissions is not None) == (command.name == "quota")


@pytest.mark.parametrize("topic", list(TOPICS))
async def test_every_topic_has_a_page_in_both_languages(world: World, topic: str) -> None:
    """In parts that fit a message."""
    asked = await world.lin.slash(world.channel, "help", topic=topic)
    assert asked.ephemeral and len(asked.response.content) <= 2000
    page = TOPICS[topic](world.client, "zh-CN")
    assert page != TOPICS[topic](world.client, "en-US")
    assert all(len(part) <= 2000 for part in parts(page))


async def test_the_tree_is_the_funnel() -> None:
    """All commands hang in the tree whose on_error tells the user."""
    client = TesseraClient(Settings())
    assert type(client.tree) is Tree
    assert {command.name for command in client.tree.get_commands()} == {
        *(command.name for command in COMMANDS),
        *(menu.name for menu in MENUS),
    }
    assert len(MENUS) <= 5, "Discord takes five menus of messages"
    assert Tree.on_error is not app_commands.CommandTree.on_error
    assert not client.intents.message_content and not client.intents.members


async def test_help_names_every_flag_in_one_message(world: World) -> None:
    """From the table, so that none is forgotten."""
    asked = await world.lin.slash(world.channel, "help")
    assert asked.ephemeral
    assert asked.response.content == text()
    assert len(text()) <= 2000
    for flag in FLAGS:
        assert f"`--{flag.spellings[0]}`" in text()


async def test_info_shows_credit_jobs_and_life(world: World) -> None:
    """One's own, ephemeral."""
    await world.grid()
    await world.imagine("a second")
    asked = await world.lin.slash(world.channel, "info")
    assert asked.ephemeral
    (said,) = answers(asked)
    assert "**This day** 92 images left of 100, full again <t:" in said.content
    assert "jobs: 1, 4 images" in said.content
    assert said.ephemeral


@pytest.mark.parametrize(
    ("subcommand", "options"),
    [
        ("show", {}),
        ("set", {"window": "day", "amount": 1}),
        ("grant", {"amount": 5}),
        ("reset", {}),
    ],
)
async def test_quota_is_for_admins_at_every_call(
    world: World, subcommand: str, options: dict[str, Any]
) -> None:
    """Even where a server's admin opened the command to everyone in Discord's own settings."""
    command = quota_command(world)
    assert int(command["default_member_permissions"]) == discord.Permissions(manage_guild=True).value
    world.guild.set_command_permissions(int(command["id"]), {world.lin: True})
    asked = await world.lin.slash(world.channel, f"quota {subcommand}", **options)
    assert asked.ephemeral
    assert asked.response.content == ADMINS_ONLY


async def test_admins_set_show_grant_and_reset(world: World) -> None:
    """The whole tour, for a user."""

    async def say(subcommand: str, **options: Any) -> str:
        asked = await world.ada.slash(world.channel, f"quota {subcommand}", **options)
        assert asked.ephemeral
        content: str = asked.response.content
        return content

    lin = world.lin.mention
    assert await say("set", window="day", target=world.lin, amount=4) == (
        f"Per day, {lin}: 4 images from now on."
    )
    shown = await say("show", target=world.lin)
    assert f"Quota of {lin}:" in shown and "- per day: 4 images (set by an admin)" in shown
    await world.grid()
    assert "0 images left of 4" in await say("show", target=world.lin)
    refused = await world.imagine("another")
    assert "you have 0 images left of 4 images" in refused.followups[0].content
    assert await say("grant", target=world.lin, amount=4) == f"Gave 4 images to {lin}."
    await world.grid("another")
    assert await say("reset", target=world.lin) == f"Reset {lin}: full credit again, limits as configured."
    assert "100 images left of 100" in await say("show", target=world.lin)
    assert world.env.http_requests[-1].json["allowed_mentions"] == {"parse": []}


async def test_quota_of_a_role_and_of_everyone(world: World) -> None:
    """The most generous role counts; no target means the server."""
    artists = world.guild.create_role("Artists")
    mia = world.guild.add_member(world.env.create_user("mia"), roles=[artists])
    await world.ada.slash(world.channel, "quota set", window="day", amount=1)
    await world.ada.slash(world.channel, "quota set", window="day", target=artists)
    refused = await world.imagine("a cat")
    assert "more than the 1 image you have for a whole day" in refused.followups[0].content
    assert (await world.imagine("a cat", mia)).response.content.endswith("(Waiting to start)")
    shown = await world.ada.slash(world.channel, "quota show", target=artists)
    assert "- per day: unlimited (set by an admin)" in shown.response.content
    assert "- per hour: not set here" in shown.response.content


async def test_default_is_the_server_too(world: World) -> None:
    """Beside a target it would be two answers to one question."""
    said = await world.ada.slash(world.channel, "quota set", window="day", scope="default", amount=2)
    assert said.response.content == "Per day, everyone in this server: 2 images from now on."
    for subcommand in ("show", "reset"):
        said = await world.ada.slash(world.channel, f"quota {subcommand}", scope="default")
        assert "everyone in this server" in said.response.content
    said = await world.ada.slash(world.channel, "quota grant", scope="default", amount=3)
    assert said.response.content == "Gave 3 images to everyone in this server."
    said = await world.ada.slash(world.channel, "quota show", scope="default", target=world.lin)
    assert said.response.content == ("Give a user or a role as target, or `default` as scope, not both.")


async def test_admin_roles_of_the_configuration_count(tmp_path: Path) -> None:
    """Beside those who may manage the server."""
    async with playing(tmp_path) as world:
        role = world.guild.create_role("Bot admins")
        mod = world.guild.add_member(world.env.create_user("mod"), roles=[role])
        settings = world.settings.model_copy(update={"discord": Discord(admin_role_ids=(role.id,))})
        world.client.serve(replace(world.services, settings=settings))
        world.guild.set_command_permissions(int(quota_command(world)["id"]), {mod: True})
        asked = await mod.slash(world.channel, "quota show")
        assert asked.response.content.startswith("Quota of everyone in this server:")


async def test_unlimited_credit_reads_so(tmp_path: Path) -> None:
    """No window has a limit."""
    async with playing(tmp_path, quota=Quota(day=0)) as world:
        asked = await world.lin.slash(world.channel, "info")
        assert asked.response.content.startswith("**Credit** unlimited")


async def test_autocomplete_through_discord(world: World) -> None:
    """The same choices that the pure function gives."""
    offered = await world.lin.autocomplete(world.channel, "imagine", "prompt", "a cat --til")
    assert [choice["value"] for choice in offered] == ["a cat --tile"]
