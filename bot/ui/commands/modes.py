"""/fast, /relax, /turbo, /stealth, /public: how one's jobs are painted from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.domain.sentence import Sentence, say
from bot.ui.commands.everywhere import everywhere
from bot.ui.funnel import tell, think
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


def _mode(name: str, description: str, says: Sentence, **values: str) -> app_commands.Command[Any, ..., Any]:
    """The command that sets these preferences."""

    @app_commands.command(name=name, description=description)
    @everywhere
    async def command(interaction: discord.Interaction[TesseraClient]) -> None:
        await think(interaction)
        book = interaction.client.services.preferences
        await park(book.change(interaction.user.id, **values), "change a setting")
        await tell(interaction, says)

    return command


fast = _mode("fast", "Paint your jobs fast from now on.", FAST, speed="fast")
relax = _mode("relax", "Let your jobs wait behind the others and cost less.", RELAX, speed="relax")
turbo = _mode("turbo", "Let your jobs go before the others and cost more.", TURBO, speed="turbo")
stealth = _mode("stealth", "Keep your pictures out of galleries from now on.", STEALTH, visibility="stealth")
public = _mode("public", "Let galleries show your pictures from now on.", PUBLIC, visibility="public")
