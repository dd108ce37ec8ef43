"""A picture that somebody points at: attached to a command, linked, or on a message."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import discord

from bot.domain.prompt import quoted
from bot.domain.sentence import say
from bot.errors import UserError
from bot.services import encoding, metadata
from bot.services.describer import wanted_texts
from bot.ui.carry import pictures_of
from bot.ui.desk import upload_of
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

NAME = "picture.png"
SIDE = 1024
"""Pixels of the longest side of a picture that an answer carries."""


@dataclass(frozen=True, slots=True)
class Source:
    """A plain PNG, and the texts that say how it was made."""

    png: bytes = field(repr=False)
    texts: Mapping[str, str]

    async def file(self) -> discord.File:
        """The picture for an answer: smaller, with how it was made, without where and by whom."""
        small = await asyncio.to_thread(_small, self.png, self.texts)
        return discord.File(io.BytesIO(small), NAME)


async def source(client: TesseraClient, attachment: discord.Attachment | None, link: str | None) -> Source:
    """What a command was given; UserError when that is nothing, both, or no picture."""
    fetcher = client.services.fetcher
    if attachment is not None and link is None:
        data = await park(fetcher.receive(upload_of(attachment)), "read an attachment")
        return await _read(client, data, quoted(attachment.filename))
    if link is not None and attachment is None:
        data = await park(fetcher.fetch(link.strip().strip("<>")), "fetch a picture")
        return await _read(client, data, quoted(link))
    raise UserError(say("Give one picture: either attach it, or give its link."))


async def _read(client: TesseraClient, data: bytes, name: str) -> Source:
    """Decoding comes first: it refuses what is too large before anything else looks at it."""
    png = await park(client.services.fetcher.decoded(data, name), "read a picture")
    texts = await park(asyncio.to_thread(metadata.texts, data), "read a picture's text")
    return Source(png, dict(wanted_texts(texts)))


def picture_on(message: discord.Message) -> tuple[discord.Attachment | None, str | None]:
    """The first picture of a message, as :func:`source` takes it; UserError when it has none."""
    for attachment in pictures_of(message):
        if (attachment.content_type or "image/").startswith("image/"):
            return attachment, None
    for embed in message.embeds:
        url = embed.image.url or embed.thumbnail.url
        if url:
            return None, url
    raise UserError(say("There is no picture on this message."))


def _small(png: bytes, texts: Mapping[str, str]) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    return encoding.png(picture, texts)
