"""/privacy: what is stored of a user, as a file, and gone for good."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import aiohttp
import discord
from discord import app_commands

from bot.domain.sentence import join, say
from bot.ui.commands.everywhere import everywhere
from bot.ui.funnel import language, tell, think
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, panel, view_of
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
STORED = join(
    (
        say("**What I store of you**"),
        say(
            "- of each job: your prompt, its pictures and those it started from, seeds, model, the channel, "
            "your user id and roles at that moment, times and what it cost;"
        ),
        say("- your settings, options, suffix, favourites and the language of your Discord;"),
        say("- what you spent and what admins allow you."),
        say(
            "It stays on the operator's machine and goes nowhere else, until you delete a picture (🗑️) or "
            "everything (below). Of messages I read none but my own and those you use a command on."
        ),
        say(
            "Deleting everything cancels your waiting jobs and removes rows, files and my messages with "
            "your pictures. What you spent this month and what admins gave you stay as numbers that name "
            "nobody, so that credit does not come back by it; copies that the operator made of the database "
            "are out of my reach."
        ),
    )
)
SURE = say("This deletes all your jobs, pictures, favourites and settings. It cannot be undone.")


class ExportDataButton(PanelButton, template=panel("privacy-export")):
    """All rows and pictures of a user, as a ZIP."""

    key = "privacy-export"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await think(interaction)
        privacy = interaction.client.services.privacy
        export = await park(privacy.export(interaction.user.id, interaction.filesize_limit), "export data")
        said = (
            say(
                "Everything I store of you. {left} pictures do not fit the upload limit; /history exports "
                "them in parts.",
                left=export.left,
            )
            if export.left
            else say("Everything I store of you.")
        )
        await interaction.followup.send(
            translated(said, language(interaction)),
            file=discord.File(io.BytesIO(export.data), "tessera-data.zip"),
            ephemeral=True,
        )


class DeleteDataButton(PanelButton, template=panel("privacy-delete")):
    """Asks once more."""

    key = "privacy-delete"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        label = translated(say("Yes, delete everything"), language(interaction))
        sure = SureButton("", label, style=discord.ButtonStyle.danger)
        await tell(interaction, SURE, view=view_of([[sure]]))


class SureButton(PanelButton, template=panel("privacy-sure")):
    """Deletes: rows and files first, then messages as far as Discord lets go of them."""

    key = "privacy-sure"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await think(interaction)
        client = interaction.client
        messages = await park(client.services.privacy.erase(interaction.user.id), "delete data")
        await tell(interaction, say("Deleted: I store nothing of you any more."))
        await _delete_messages(client, messages)


ITEMS = (ExportDataButton, DeleteDataButton, SureButton)


async def _delete_messages(client: TesseraClient, messages: Iterable[tuple[int, int]]) -> None:
    """One after the other, as Discord's limits want it; what is gone already is fine."""
    for channel_id, message_id in messages:
        try:
            await client.get_partial_messageable(channel_id).get_partial_message(message_id).delete()
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.info("a message of a user who deleted their data stays: %s", error)
        await asyncio.sleep(0)


@app_commands.command(name="privacy", description="What I store of you; get it as a file, or delete it.")
@everywhere
async def privacy(interaction: discord.Interaction[TesseraClient]) -> None:
    """For the asking user's eyes only."""
    locale = language(interaction)
    export = ExportDataButton("", translated(say("Export my data"), locale))
    delete = DeleteDataButton("", translated(say("Delete my data"), locale), style=discord.ButtonStyle.danger)
    await tell(interaction, STORED, view=view_of([[export, delete]]))
