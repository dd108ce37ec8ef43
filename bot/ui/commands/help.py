"""/help: the commands, the flags, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.domain.flags import FLAGS, Flag
from bot.ui.funnel import tell

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

HEAD = """**/imagine** paints a grid of pictures, for example `/imagine a red apple --ar 3:2 --seed 7`.
Under a grid: **U1** posts picture 1 at full size, **V1** paints variations of it, 🔄 paints the prompt \
again, 🗑️ deletes (the owner's own, or an admin). Anyone may press; who presses pays.
**/info** shows your credit and jobs. Image links or a picture attached to the command go before the text.

**Flags** (after the text)"""
FOOT = """
I store your prompts and pictures, your user id and what you spent, until you delete the pictures (🗑️) \
or the operator does."""


def flag_line(flag: Flag) -> str:
    """One row of the table, short enough for all of them to fit one message."""
    names = " ".join(f"`--{spelling}`" for spelling in flag.spellings)
    value = f" {flag.example}" if flag.example else ""
    return f"- {names}{value}: {flag.help}"


def text() -> str:
    """What /help answers; one message."""
    rare = " ".join(f"`--{flag.spellings[0]}`" for flag in FLAGS if not flag.common)
    return "\n".join((HEAD, *(flag_line(flag) for flag in FLAGS if flag.common), f"- also {rare}", FOOT))


@app_commands.command(name="help", description="How to ask for pictures, all flags, and what is stored.")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def help_command(interaction: discord.Interaction[TesseraClient]) -> None:
    """For the asking user's eyes only."""
    await tell(interaction, text())
