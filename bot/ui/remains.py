"""What a message of ours still shows of a job whose row is gone."""

from __future__ import annotations

import re

import discord

from bot.domain.job import Place, Requester
from bot.services.adoption import MOST_BYTES, Remains

_OWNER = re.compile(r"(?<!\\)<@(\d{1,20})>")
"""Prompts are escaped, so only we can have written this."""


async def remains_of(message: discord.Message, client: discord.Client, place: Place) -> Remains | None:
    """Picture and owner of a result; None for messages of others, and where the picture cannot be had."""
    if client.user is None or message.author.id != client.user.id or not message.attachments:
        return None
    attachment = message.attachments[0]
    if attachment.size > MOST_BYTES:
        return None
    try:
        data = await attachment.read()
    except discord.HTTPException:
        return None
    named = _OWNER.findall(message.content)
    # Nobody's, where the message names nobody: only admins may delete it then.
    owner = int(named[-1]) if named else client.user.id
    created = message.created_at.timestamp()
    return Remains(data, attachment.filename, Requester(owner), place, message.id, created)
