"""/show: a job of one's own once more, with its buttons, wherever one may post."""

from __future__ import annotations

import io
import re
import uuid
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.domain.job import UNFINISHED, Job, JobStatus
from bot.domain.sentence import say
from bot.errors import NotAllowed, UserError
from bot.ui import caller, wording
from bot.ui.commands.everywhere import everywhere
from bot.ui.components import result_view
from bot.ui.funnel import language, mark_answered
from bot.ui.mail import GONE
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def job_id_in(text: str) -> str:
    """The id in what was typed: bare, with dashes, or in the name or address of a picture's file."""
    found = _ID.findall(text)
    if not found:
        raise UserError(
            say(
                "That is no job id. It has 32 letters and digits and stands at the end of each picture's "
                "file name; /history shows yours."
            )
        )
    return uuid.UUID(found[-1]).hex


async def own_job(interaction: discord.Interaction[TesseraClient], job_id: str) -> Job:
    """A job that the asker may post: their own, or an admin one of the server; UserError for any other."""
    job = await park(interaction.client.services.job(job_id), "look up a job")
    if job is None:
        raise UserError(say("There is no such job: it was deleted, or belongs to another copy of me."))
    who = interaction.client.desk.requester(interaction)
    administers = who.is_admin and job.place.guild_id == interaction.guild_id is not None
    if job.requester.user_id != who.user_id and not administers:
        raise NotAllowed(say("That job is somebody else's; only its owner can show it again."))
    return job


async def repost(interaction: discord.Interaction[TesseraClient], job: Job) -> None:
    """Post a job's result anew; the interaction is deferred, publicly."""
    services = interaction.client.services
    if job.status in UNFINISHED:
        raise UserError(
            say("That job is not finished yet; its result will be posted where it was asked for.")
        )
    pictures = await park(services.pictures(job.id), "look up pictures")
    if not pictures or job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise UserError(GONE)
    limit = interaction.filesize_limit
    file = await park(services.library.attachment(job, pictures, limit), "read a picture")
    mark_answered(interaction)
    await interaction.followup.send(
        wording.done(job),
        file=discord.File(io.BytesIO(file.data), file.filename),
        view=result_view(job, locale=language(interaction)),
        allowed_mentions=discord.AllowedMentions.none(),
    )


@app_commands.command(name="show", description="Post a job of yours again, with its buttons.")
@app_commands.describe(job_id="The job's id, or the name of a picture's file that ends with it.")
@everywhere
async def show(
    interaction: discord.Interaction[TesseraClient], job_id: app_commands.Range[str, 1, 400]
) -> None:
    """In public, since buttons are for everybody here."""
    wanted = job_id_in(job_id)
    caller.require_delivery(interaction)
    await interaction.response.defer(thinking=True)
    await repost(interaction, await own_job(interaction, wanted))
