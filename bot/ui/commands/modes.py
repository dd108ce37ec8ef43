"""/fast, /relax, /turbo, /stealth, /public: how one's jobs are painted from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.domain.sentence import Sentence, say
from bot.ui.commands.everywhere import everywhere
from bot.ui.funnel import tell
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

FAST = say("Your jobs are fast from now on. A prompt may say otherwise: `--relax`, `--turbo`.")
RELAX = say(
    "Your jobs are relaxed from now on: they wait behind the others and cost less. A prompt may say "
    "otherwise: `--fast`, `--turbo`."
)
TURBO = say(
    "Your jobs are turbo from now on: they go before the others and cost more. A prompt may say otherwise: "
    "`--fast`, `--relax`."
)
STEALTH = say(
    "Your pictures are hidden from now on: no gallery shows them, and nobody else finds them. Where you ask "
    "for them the channel still sees them, marked (stealth); for your eyes alone ask me in a direct message. "
    "A prompt may say otherwise: `--public`."
)
PUBLIC = say("Your pictures are public from now on. A prompt may say otherwise: `--stealth`.")


async def _set(interaction: discord.Interaction[TesseraClient], says: Sentence, **values: Any) -> None:
    book = interaction.client.services.preferences
    await park(book.change(interaction.user.id, **values), "change a setting")
    await tell(interaction, says)


@app_commands.command(name="fast", description="Paint your jobs fast from now on.")
@everywhere
async def fast(interaction: discord.Interaction[TesseraClient]) -> None:
    """The ordinary lane."""
    await _set(interaction, FAST, speed="fast")


@app_commands.command(name="relax", description="Let your jobs wait behind the others and cost less.")
@everywhere
async def relax(interaction: discord.Interaction[TesseraClient]) -> None:
    """The lane behind."""
    await _set(interaction, RELAX, speed="relax")


@app_commands.command(name="turbo", description="Let your jobs go before the others and cost more.")
@everywhere
async def turbo(interaction: discord.Interaction[TesseraClient]) -> None:
    """The lane in front."""
    await _set(interaction, TURBO, speed="turbo")


@app_commands.command(name="stealth", description="Keep your pictures out of galleries from now on.")
@everywhere
async def stealth(interaction: discord.Interaction[TesseraClient]) -> None:
    """Hidden."""
    await _set(interaction, STEALTH, visibility="stealth")


@app_commands.command(name="public", description="Let galleries show your pictures from now on.")
@everywhere
async def public(interaction: discord.Interaction[TesseraClient]) -> None:
    """Seen."""
    await _set(interaction, PUBLIC, visibility="public")
