"""/info: one's own credit and jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.domain.sentence import join
from bot.ui import caller
from bot.ui.accounts import info_text
from bot.ui.commands.everywhere import everywhere
from bot.ui.commands.settings import mode_line
from bot.ui.funnel import tell, think
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


@app_commands.command(name="info", description="Your credit, your jobs, and what you have painted so far.")
@everywhere
async def info(interaction: discord.Interaction[TesseraClient]) -> None:
    """For the asking user's eyes only."""
    await think(interaction)
    client = interaction.client
    who, where = client.desk.requester(interaction), caller.place(interaction)
    info = await park(client.services.quotas.info(who, where), "read quotas")
    kept = await park(client.services.preferences.of(who.user_id), "read settings")
    ready = client.services.backlog.until_done(who.user_id)
    await tell(interaction, join((info_text(info, ready), mode_line(kept))))
