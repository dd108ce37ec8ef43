"""A typed text read as whoever typed it means it: with their options, suffix and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

from bot.domain.prompt import Prompt
from bot.services import specs
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


async def read_all(
    interaction: discord.Interaction[TesseraClient], text: str, pictures: int = 0
) -> tuple[Prompt, ...]:
    """Every prompt that a text stands for, with the asker's options, suffix and settings."""
    client = interaction.client
    wishes = await park(client.services.preferences.of(interaction.user.id), "read settings")
    attached = tuple(f"attachment:{number}" for number in range(pictures))
    models = client.services.engine.models()
    return specs.read(text, client.settings, models, attached=attached, wishes=wishes)
