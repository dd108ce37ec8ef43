"""An envelope under a result sends it to its owner; a cross cancels or deletes it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import aiohttp
import discord

from bot.domain.job import UNFINISHED, Job, Requester
from bot.domain.sentence import sentence_of
from bot.errors import UserError
from bot.ui.funnel import apology
from bot.ui.history import result_of, waiting_of
from bot.ui.locales import translated
from bot.ui.mail import mail
from bot.ui.park import park
from bot.ui.wording import mention

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
ENVELOPES = frozenset("✉📩📨📧💌📬📫")
CROSSES = frozenset("❌✖❎🗙")
_VARIANT = "\ufe0f"
"""Asks for the colourful form of a character; Discord sends it with some and without others."""


async def reacted(client: TesseraClient, event: discord.RawReactionActionEvent) -> None:
    """Do what the owner of a job means by a reaction; others', and other emoji, mean nothing. Never raises.

    Runs as an event, of which discord.py would only log what it raises.
    """
    emoji = event.emoji.name.rstrip(_VARIANT) if event.emoji.is_unicode_emoji() else ""
    if emoji not in ENVELOPES | CROSSES or event.user_id == client.bot_id:
        return
    if event.message_author_id not in (None, client.bot_id):
        return
    try:
        await _obey(client, event, emoji)
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        log.warning("a reaction could not be answered: %s", error)
    except Exception:
        log.exception("a reaction could not be answered")


async def _obey(client: TesseraClient, event: discord.RawReactionActionEvent, emoji: str) -> None:
    job = await park(client.services.job_of_any_message(event.message_id), "look up a job")
    job = job or await _carried(client, event)
    if job is None or job.requester.user_id != event.user_id:
        return
    locale = (await park(client.services.preferences.of(event.user_id), "read settings")).locale
    try:
        if emoji in ENVELOPES:
            await mail(client, event.user_id, job, locale)
        else:
            await _cross_out(client, event, job)
    except discord.NotFound:
        log.info("the message of a reaction is gone already")
    except Exception as error:
        words = sentence_of(error) if isinstance(error, UserError) else apology("a reaction", error)
        said = translated(words, locale)
        await _channel(client, event).send(
            f"{mention(event.user_id)} {said}",
            allowed_mentions=discord.AllowedMentions(
                everyone=False, roles=False, users=[discord.Object(event.user_id)]
            ),
        )


async def _carried(client: TesseraClient, event: discord.RawReactionActionEvent) -> Job | None:
    """The job of a message that no row knows, such as one of /show: by its buttons."""
    try:
        message = await _channel(client, event).fetch_message(event.message_id)
    except discord.HTTPException:
        return None
    job_id = result_of(message) or waiting_of(message)
    if job_id is None or message.author.id != client.bot_id:
        return None
    return await park(client.services.job(job_id), "look up a job")


async def _cross_out(client: TesseraClient, event: discord.RawReactionActionEvent, job: Job) -> None:
    who = Requester(event.user_id)
    if job.status in UNFINISHED:
        await park(client.services.cancel(job.id, who), "cancel a job")
        return
    await park(client.services.delete(job.id, who), "delete a job")
    await _channel(client, event).get_partial_message(event.message_id).delete()


def _channel(client: TesseraClient, event: discord.RawReactionActionEvent) -> discord.PartialMessageable:
    return client.get_partial_messageable(event.channel_id, guild_id=event.guild_id)
