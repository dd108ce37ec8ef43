"""What the menu of a message offers under Apps. Discord takes five of these, so two are one here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord
from discord import app_commands, ui

from bot.domain.job import Job
from bot.domain.sentence import say
from bot.errors import NotAllowed, UserError
from bot.services.outbox import CANCELLED
from bot.ui.commands.describe import answer
from bot.ui.commands.everywhere import everywhere
from bot.ui.echo import CONTENT_LIMIT, escape, prompt_echo
from bot.ui.facts import parameter_text, refuse_hidden
from bot.ui.forms import LIFE_S, passing_id
from bot.ui.funnel import answer_error, language, tell, think
from bot.ui.history import result_of, waiting_of
from bot.ui.ideas import PromptWindow
from bot.ui.locales import translated
from bot.ui.mail import mail
from bot.ui.park import park
from bot.ui.source import picture_on, source
from bot.ui.wording import mention

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
NO_JOB = say("This message is no job of mine that I still have; use the menu on one of my pictures.")
REPORTED = say("Reported to those who run this bot. Thank you.")


async def _job(interaction: discord.Interaction[TesseraClient], message: discord.Message) -> Job:
    """The job that a message of ours shows; UserError when there is none."""
    client = interaction.client
    carried = result_of(message) or waiting_of(message) if message.author.id == client.bot_id else None
    job = await park(client.services.job(carried), "look up a job") if carried else None
    job = job or await park(client.services.job_of_any_message(message.id), "look up a job")
    if job is None:
        raise UserError(NO_JOB)
    return job


@app_commands.context_menu(name="Cancel Job")
@everywhere
async def cancel_job(interaction: discord.Interaction[TesseraClient], message: discord.Message) -> None:
    """Of one's own, waiting or running."""
    await think(interaction)
    client = interaction.client
    job = await _job(interaction, message)
    await park(client.services.cancel(job.id, client.desk.requester(interaction)), "cancel a job")
    await tell(interaction, CANCELLED)


@app_commands.context_menu(name="DM Results")
@everywhere
async def dm_results(interaction: discord.Interaction[TesseraClient], message: discord.Message) -> None:
    """To whoever asks; hidden pictures to their owner alone."""
    await think(interaction)
    job = await _job(interaction, message)
    if job.hidden_from(interaction.user.id):
        raise NotAllowed(say("This picture is hidden (stealth); only its owner may have it sent."))
    await mail(interaction.client, interaction.user.id, job, language(interaction))
    await tell(interaction, say("Sent to you by direct message."))


@app_commands.context_menu(name="Report Job")
@everywhere
async def report_job(interaction: discord.Interaction[TesseraClient], message: discord.Message) -> None:
    """Asks why, then tells those who run the bot."""
    await interaction.response.send_modal(ReportWindow(message, language(interaction)))


class ReportWindow(ui.Modal):
    """Why a picture is reported; the words may be left out."""

    def __init__(self, message: discord.Message, locale: str) -> None:
        title = translated(say("Report this picture"), locale)
        super().__init__(title=title, custom_id=passing_id(), timeout=LIFE_S)
        self.message = message
        self.reason: ui.TextInput[ReportWindow] = ui.TextInput(
            label=translated(say("What is wrong with it?"), locale),
            custom_id="reason",
            style=discord.TextStyle.paragraph,
            max_length=500,
            required=False,
        )
        self.add_item(self.reason)

    async def on_submit(self, interaction: discord.Interaction[TesseraClient]) -> None:  # type: ignore[override]
        await think(interaction)
        job = await _job(interaction, self.message)
        await _report(interaction, job, self.message, self.reason.value)
        await tell(interaction, REPORTED)

    async def on_error(self, interaction: discord.Interaction[TesseraClient], error: Exception) -> None:  # type: ignore[override]
        await answer_error(interaction, error)


async def _report(
    interaction: discord.Interaction[TesseraClient], job: Job, message: discord.Message, reason: str
) -> None:
    """To the configured channel, and always to the log: a channel may be gone."""
    client = interaction.client
    reporter, owner = interaction.user.id, job.requester.user_id
    log.warning(
        "job %s of user %s was reported by user %s: %r, %s", job.id, owner, reporter, reason, message.jump_url
    )
    channel_id = client.settings.discord.report_channel_id
    if not channel_id:
        return
    head = (
        f"⚠️ {mention(reporter)} reports job `{job.id}` of {mention(job.requester.user_id)}: "
        f"{escape(reason, 600) or '-'}\n{message.jump_url}\n"
    )
    try:
        await client.get_partial_messageable(channel_id).send(
            f"{head}**{prompt_echo(job.prompt, CONTENT_LIMIT - len(head) - 10)}**",
            allowed_mentions=discord.AllowedMentions.none(),
        )
    except discord.HTTPException as error:
        log.error("the report of job %s did not reach channel %s: %s", job.id, channel_id, error)


@app_commands.context_menu(name="Use as Image Prompt")
@everywhere
async def use_as_image_prompt(
    interaction: discord.Interaction[TesseraClient], message: discord.Message
) -> None:
    """Opens a window for the words beside it."""
    attachment, link = picture_on(message)
    if attachment is not None:
        await interaction.response.send_modal(PromptWindow("", [attachment], language(interaction)))
    else:
        await interaction.response.send_modal(PromptWindow(f"{link} ", (), language(interaction)))


@app_commands.context_menu(name="Describe & Parameters")
@everywhere
async def describe_and_parameters(
    interaction: discord.Interaction[TesseraClient], message: discord.Message
) -> None:
    """What is known of a job, and four prompts for the picture, for the asker's eyes."""
    await think(interaction)
    client = interaction.client
    carried = result_of(message) if message.author.id == client.bot_id else None
    job = await park(client.services.job(carried), "look up a job") if carried else None
    if job is not None:
        refuse_hidden(interaction, job)
        await tell(
            interaction,
            await park(parameter_text(client.services, job, interaction.user.id), "read parameters"),
        )
    seen = await source(client, *picture_on(message))
    await answer(interaction, seen, ephemeral=True)


MENUS: tuple[app_commands.ContextMenu, ...] = (
    cancel_job,
    dm_results,
    report_job,
    use_as_image_prompt,
    describe_and_parameters,
)
