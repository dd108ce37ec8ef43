"""Finding our own messages in a channel, by the job that their buttons carry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import discord
from discord.abc import Messageable, Snowflake

from bot.domain.custom_id import decode
from bot.ui.components import CancelButton, DeleteButton

NEWEST = 500
"""Messages looked through from the newest back, for what clocks and windows miss."""


def result_of(message: discord.Message) -> str | None:
    """Id of the job whose result this message is; None for any other message. Only results can be deleted."""
    return _carried(message, DeleteButton.action)


def waiting_of(message: discord.Message) -> str | None:
    """Id of the job whose waiting message this is; None for any other. Only waiting ones can be cancelled."""
    return _carried(message, CancelButton.action)


def _carried(message: discord.Message, action: str) -> str | None:
    for row in message.components:
        for child in row.children if isinstance(row, discord.ActionRow) else ():
            if (job_id := _job_of(child, action)) is not None:
                return job_id
    return None


def _job_of(component: object, action: str) -> str | None:
    if not isinstance(component, discord.Button) or not component.custom_id:
        return None
    try:
        carried = decode(component.custom_id)
    except ValueError:
        return None
    return carried.job_id if carried.action == action else None


async def find_message(
    channel: Messageable,
    author_id: int,
    wanted: Callable[[discord.Message], bool],
    after: Snowflake,
    before: datetime,
) -> int | None:
    """Id of the author's message that is ``wanted``: of all between two moments, else of the newest."""
    windows = (
        {"after": after, "before": before, "limit": None, "oldest_first": True},
        {"limit": NEWEST, "oldest_first": False},
    )
    for window in windows:
        async for message in channel.history(**window):
            if message.author.id == author_id and wanted(message):
                return message.id
    return None
