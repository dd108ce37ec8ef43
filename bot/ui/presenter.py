"""The Discord side of the outbox: a job's messages, sent once, to wherever the job is owed.

Everything goes by the bot's token and message ids, because an interaction's token dies after 15 minutes. Only
where the bot is no member of the channel is the token used: it is the one way there.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import discord

from bot.domain.job import Job
from bot.services.sink import Picture, SinkGone
from bot.ui import wording
from bot.ui.components import result_view, waiting_view
from bot.ui.history import find_result

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
NONCE_LENGTH = 25
TOO_LARGE = frozenset({40005, 50045})
"""Discord's codes for a request, or a file, above the limit of the place."""
NO_PLACE = frozenset({10003, 10004, 10015, 50001, 50007, 50013, 50027, 50278, 160005})
"""Unknown channel, guild or webhook, missing access or permissions, dead token, a user who takes no messages,
a locked thread: nothing can be told there."""
SMALLEST_UPLOAD = 64 * 1024
"""Bytes below which no smaller variant is tried."""
PREVIEW_NAME = "preview.jpg"


def nonce_of(job: Job) -> str:
    """100 bits of the job's id: Discord gives a second send with it the first one's message."""
    return job.id[:NONCE_LENGTH]


class _ByToken:
    """A waiting message that only its interaction's token reaches."""

    def __init__(self, webhook: discord.Webhook, message_id: int) -> None:
        self._webhook = webhook
        self._message_id = message_id

    async def edit(self, **payload: Any) -> None:
        await self._webhook.edit_message(self._message_id, **payload)

    async def delete(self) -> None:
        await self._webhook.delete_message(self._message_id)


class DiscordSink:
    """``MessageSink`` for a logged-in client."""

    def __init__(self, client: TesseraClient) -> None:
        self._client = client

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        """Edit the waiting message; without a new preview the last one stays."""
        if (message := await self._waiting(job)) is None:
            return
        options: dict[str, Any] = {}
        if preview is not None:
            options["attachments"] = [discord.File(io.BytesIO(preview), PREVIEW_NAME)]
        await message.edit(
            content=wording.progress(job, percent),
            view=waiting_view(job.id),
            allowed_mentions=discord.AllowedMentions.none(),
            **options,
        )

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        """Send the result as a new message, then delete the waiting one."""
        try:
            message_id = await self._send_fitting(job, pictures)
        except discord.HTTPException as error:
            _raise_if_gone(error)
            raise
        await self._drop_waiting(job)
        return message_id

    async def find_posted(self, job: Job) -> int | None:
        """Look for the job's buttons in what was said in its channel since it was asked for."""
        if self._by_token(job):
            return None
        since = discord.Object(discord.utils.time_snowflake(datetime.fromtimestamp(job.created_at, UTC)))
        try:
            found = await find_result(self._channel(job), job.id, self._client.bot_id, since)
        except discord.HTTPException as error:
            if isinstance(error, discord.Forbidden):
                log.warning(
                    "may not read the history of channel %s to look for a result", job.place.channel_id
                )
                return None
            _raise_if_gone(error)
            raise
        if found is not None:
            await self._drop_waiting(job)
        return found

    async def tell(self, job: Job, sentence: str) -> None:
        """Turn the waiting message into the sentence, or send it where that message cannot be edited."""
        content = wording.ended(job, sentence)
        try:
            if not await self._edited(job, content):
                await self._send(job, content=content)
        except discord.HTTPException as error:
            _raise_if_gone(error)
            raise

    async def _edited(self, job: Job, content: str) -> bool:
        if (message := await self._waiting(job)) is None:
            return False
        try:
            await message.edit(
                content=content, view=None, attachments=[], allowed_mentions=discord.AllowedMentions.none()
            )
        except discord.HTTPException as error:
            if error.status >= 500:
                raise
            return False
        return True

    async def _send_fitting(self, job: Job, pictures: Sequence[Picture]) -> int:
        """Send as good a file as the place takes: smaller ones while Discord says that it is too large."""
        limit = self._upload_limit(job)
        while True:
            file = await self._client.services.library.attachment(job, pictures, limit)
            try:
                return await self._send(
                    job,
                    content=wording.done(job),
                    file=discord.File(io.BytesIO(file.data), file.filename),
                    view=result_view(job),
                )
            except discord.HTTPException as error:
                limit = len(file.data) * 3 // 4
                if not (error.code in TOO_LARGE or error.status == 413) or limit < SMALLEST_UPLOAD:
                    raise

    async def _send(self, job: Job, **payload: Any) -> int:
        payload["allowed_mentions"] = discord.AllowedMentions(
            everyone=False, roles=False, replied_user=False, users=[discord.Object(job.requester.user_id)]
        )
        if self._by_token(job):
            return (await self._webhook(job).send(**payload, wait=True)).id
        if (reference := await self._reference(job)) is not None:
            payload["reference"] = reference
        message = await self._channel(job).send(**payload, nonce=nonce_of(job))
        return message.id

    async def _reference(self, job: Job) -> discord.MessageReference | None:
        """The parent's message, if it stands in the same channel."""
        if job.parent_id is None:
            return None
        parent = await self._client.services.job(job.parent_id)
        if parent is None or parent.result_message_id is None or parent.place != job.place:
            return None
        return discord.MessageReference(
            message_id=parent.result_message_id,
            channel_id=parent.place.channel_id,
            guild_id=parent.place.guild_id,
            fail_if_not_exists=False,
        )

    async def _drop_waiting(self, job: Job) -> None:
        """The result is out, so nothing that goes wrong here may make it be sent again."""
        try:
            if (message := await self._waiting(job)) is not None:
                await message.delete()
        except Exception as error:
            log.info("could not delete the waiting message of job %s: %s", job.id, error)

    async def _waiting(self, job: Job) -> discord.PartialMessage | _ByToken | None:
        """The waiting message, once it stands: a fast job may be done before Discord has answered."""
        sent = await self._client.welcomes.message_of(job.interaction_id)
        message_id = job.message_id or sent
        if message_id is None:
            return None
        if self._by_token(job):
            return _ByToken(self._webhook(job), message_id)
        return self._channel(job).get_partial_message(message_id)

    def _channel(self, job: Job) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(job.place.channel_id, guild_id=job.place.guild_id)

    def _webhook(self, job: Job) -> discord.Webhook:
        if job.token is None or time.time() > (job.token_expires_at or 0.0):
            raise SinkGone("the interaction's token has expired, and there is no other way to this channel")
        return discord.Webhook.partial(self._client.application_id or 0, job.token, client=self._client)

    def _by_token(self, job: Job) -> bool:
        """The desk stores a token only where there is no other way."""
        return job.token is not None

    def _upload_limit(self, job: Job) -> int:
        guild = self._client.get_guild(job.place.guild_id) if job.place.guild_id else None
        return guild.filesize_limit if guild else discord.utils.DEFAULT_FILE_SIZE_LIMIT_BYTES


def _raise_if_gone(error: discord.HTTPException) -> None:
    if error.code in NO_PLACE:
        raise SinkGone(f"Discord no longer takes messages there: {error.text or error}") from error
