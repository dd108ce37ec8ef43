"""Finding our own results among a channel's messages, by the ids their buttons carry."""

from __future__ import annotations

import discord
from discord.abc import Messageable

from bot.domain.custom_id import decode
from bot.ui.components import DeleteButton

DEPTH = 500
"""Messages looked through, from the job's beginning on and from the newest back."""


def result_of(message: discord.Message) -> str | None:
    """Id of the job whose result this message is; None for any other message. Only results can be deleted."""
    for row in message.components:
        for child in row.children if isinstance(row, discord.ActionRow) else ():
            if (job_id := _deletes(child)) is not None:
                return job_id
    return None


def _deletes(component: object) -> str | None:
    if not isinstance(component, discord.Button) or not component.custom_id:
        return None
    try:
        carried = decode(component.custom_id)
    except ValueError:
        return None
    return carried.job_id if carried.action == DeleteButton.action else None


async def find_result(
    channel: Messageable, job_id: str, author_id: int, since: discord.abc.Snowflake
) -> int | None:
    """Id of the message in ``channel`` that is the job's result, or None."""
    for options in ({"after": since, "oldest_first": True}, {"oldest_first": False}):
        async for message in channel.history(limit=DEPTH, **options):
            if message.author.id == author_id and result_of(message) == job_id:
                return message.id
    return None
