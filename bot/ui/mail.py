"""Results by direct message: each picture with its job and seed; those who take no messages are told so."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import discord

from bot.domain.job import Job
from bot.domain.sentence import join, say
from bot.errors import MailClosed, UserError
from bot.services.library import Attachment
from bot.services.sink import Picture
from bot.ui.echo import CONTENT_LIMIT, prompt_echo
from bot.ui.locales import translated
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

CLOSED = say(
    "I may not send you direct messages. Allow them for this server (its name, Privacy Settings), then try "
    "again."
)
GONE = say("The pictures of this job are no longer there; re-roll paints new ones.")
MOST_FILES = 10
MOST_BYTES = 20 * 2**20
"""Of one message; Discord takes 25 MiB a request."""


async def mail(client: TesseraClient, user_id: int, job: Job, locale: str) -> None:
    """Send a job's pictures to somebody; UserError when they are gone, MailClosed where none is taken."""
    library = client.services.library
    pictures = await park(client.services.pictures(job.id), "look up pictures")
    if not pictures:
        raise UserError(GONE)
    limit = discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES
    files = [await park(library.attachment(job, [picture], limit), "read") for picture in pictures]
    try:
        channel = await client.create_dm(discord.Object(user_id))
        for batch in _batches(list(zip(pictures, files, strict=True))):
            await channel.send(
                _caption(job, [picture for picture, _ in batch], locale),
                files=[_upload(picture, file) for picture, file in batch],
                allowed_mentions=discord.AllowedMentions.none(),
            )
    except discord.Forbidden as error:
        raise MailClosed(CLOSED) from error


def _batches(
    sent: Sequence[tuple[Picture, Attachment]],
) -> Iterator[list[tuple[Picture, Attachment]]]:
    batch: list[tuple[Picture, Attachment]] = []
    size = 0
    for picture, file in sent:
        if batch and (len(batch) == MOST_FILES or size + len(file.data) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((picture, file))
        size += len(file.data)
    yield batch


def _caption(job: Job, pictures: Sequence[Picture], locale: str) -> str:
    lines = [
        say("Image #{number}: seed `{seed}`", number=picture.index + 1, seed=picture.seed)
        for picture in pictures
    ]
    tail = translated(join((say("Job `{job}`", job=job.id), *lines)), locale)
    return f"**{prompt_echo(job.prompt, CONTENT_LIMIT - len(tail) - 20)}**\n{tail}"


def _upload(picture: Picture, file: Attachment) -> discord.File:
    """The names of several pictures of one job differ in front, where clients do not look."""
    return discord.File(io.BytesIO(file.data), f"{picture.index + 1}_{file.filename}")
