"""/imagine: text, and perhaps a picture, to a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.ui.commands.everywhere import everywhere
from bot.ui.complete import choices
from bot.ui.funnel import language
from bot.ui.ideas import paint
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


@app_commands.command(name="imagine", description="Paint a grid of pictures from your words.")
@app_commands.describe(
    prompt="What to paint, then flags such as --ar 3:2 or --seed 7; /help lists them.",
    image="A picture to start from (--iw says how strongly it counts).",
)
@everywhere
async def imagine(
    interaction: discord.Interaction[TesseraClient],
    prompt: app_commands.Range[str, 1, 6000],
    image: discord.Attachment | None = None,
) -> None:
    """Faults of the prompt are answered at once; everything else happens behind the acknowledgement."""
    await paint(interaction, prompt, [image] if image else [])


@imagine.autocomplete("prompt")
async def _complete(
    interaction: discord.Interaction[TesseraClient], current: str
) -> list[app_commands.Choice[str]]:
    client = interaction.client
    wishes = await park(client.services.preferences.of(interaction.user.id), "read settings")
    models = client.services.engine.models()
    return choices(current, client.settings, models, wishes, language(interaction))
