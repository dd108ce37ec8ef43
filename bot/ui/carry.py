"""Prompts that a message of ours carries: in code blocks, or in a file where one is too long for those.

Whoever presses a button under it gets them back from the message itself, so nothing is kept in memory.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import discord

from bot.domain.sentence import say
from bot.errors import UserError
from bot.ui.echo import quoted_block

FILE = "prompt.txt"
_BLOCK = re.compile(r"```\n(.*?)\n```", re.DOTALL)
_LOST = say("I can no longer read the prompt of this message; use the command again.")


def prompt_file(text: str) -> discord.File:
    """A prompt too long for a message."""
    return discord.File(io.BytesIO(text.encode("utf-8", "replace")), FILE)


def carried(text: str, room: int) -> tuple[str, discord.File | None]:
    """The block that carries a prompt, within ``room`` UTF-16 units, or the file that does in its place."""
    block = quoted_block(text, room)
    return ("", prompt_file(text)) if block is None else (block, None)


async def texts_of(message: discord.Message) -> Sequence[str]:
    """The prompts that a message carries, in order; UserError when it has none."""
    if found := _BLOCK.findall(message.content):
        return [str(text) for text in found]
    for attachment in message.attachments:
        if attachment.filename == FILE:
            return [(await attachment.read()).decode("utf-8", "replace")]
    raise UserError(_LOST)


async def text_of(message: discord.Message | None, index: int = 0) -> str:
    """One of them; UserError when it is not there."""
    texts = await texts_of(message) if message is not None else ()
    if index >= len(texts):
        raise UserError(_LOST)
    return texts[index]


def pictures_of(message: discord.Message) -> list[discord.Attachment]:
    """Attached pictures, in order."""
    return [attachment for attachment in message.attachments if attachment.filename != FILE]
