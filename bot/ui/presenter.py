"""The Discord side of the outbox: a job's messages, sent once, to wherever the job is owed.

Everything goes by the bot's token and message ids, because an interaction's token dies after 15 minutes. Only
where the bot is no member of the channel is the token used: it is the one way there.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import discord

from bot.domain.job import Job
from bot.domain.sentence import say, sentence_of
from bot.errors import MailClosed
from bot.services.library import Attachment
from bot.services.sink import Picture, SinkGone, SinkRefused
from bot.ui import wording
from bot.ui.components import result_view, waiting_view
from bot.ui.history import find_message, result_of, waiting_of
from bot.ui.locales import translated
from bot.ui.mail import mail

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
NONCE_LENGTH = 25
TOO_LARGE = frozenset({40005, 50045})
"""Discord's codes for a request, or a file, above the limit of the place."""
NO_PLACE = frozenset({10003, 10004, 10015, 50001, 50007, 50013, 50027, 50278, 160005})
"""Unknown channel, guild or webhook, missing access or permissions, dead token, a user who takes no messages,
a locked thread: nothing can be told there."""
UNKNOWN_MESSAGE = 10008
PASSING = frozenset({401, 408, 425, 429})
"""Refusals that say nothing of the request: another try may be taken."""
EARLY, LATE = timedelta(minutes=10), timedelta(hours=1)
"""Around the moment of a send, what a message may be found in: clocks differ, requests wait their turn."""
SMALLEST_UPLOAD = 2 * 1024
"""Bytes below which no smaller variant is tried."""
PREVIEW_NAME = "preview.jpg"
NO_MORE_MAIL = say(
    "Your direct messages are closed, so I no longer send results there; /prefer auto_dm switches it on "
    "again."
)


def nonce_of(job: Job) -> str:
    """100 bits of the job's id: Discord gives a second send with it the first one's message."""
    return job.id[:NONCE_LENGTH]


class _ByToken:
    """A waiting message that only its interaction's token reaches."""

    def __init__(self, webhook: discord.Webhook, message_id: int) -> None:
        self._webhook = webhook
        self.id = message_id

    async def edit(self, **payload: Any) -> None:
        await self._webhook.edit_message(self.id, **payload)

    async def delete(self) -> None:
        await self._webhook.delete_message(self.id)


class DiscordSink:
    """``MessageSink`` for a logged-in client."""

    def __init__(self, client: TesseraClient) -> None:
        self._client = client
        self._sought: set[str] = set()
        """Jobs whose waiting message was looked for, and is not there."""

    async def progress(self, job: Job, percent: int, preview: bytes | None) -> None:
        """Edit the waiting message; without a new preview the last one stays."""
        if (message := await self._waiting(job)) is None:
            return
        options: dict[str, Any] = {}
        if preview is not None:
            options["attachments"] = [discord.File(io.BytesIO(preview), PREVIEW_NAME)]
        with _told_apart():
            await message.edit(
                content=wording.progress(job, percent),
                view=waiting_view(job.id, await self._language(job)),
                allowed_mentions=discord.AllowedMentions.none(),
                **options,
            )

    async def post(self, job: Job, pictures: tuple[Picture, ...]) -> int:
        """Send the result as a new message, then delete the waiting one.

        By token the waiting message becomes the result: such a send has no nonce and cannot be looked for,
        but an edit may be repeated.
        """
        with _told_apart():
            message_id = await self._send_fitting(job, pictures)
        self._client.desk.delivered(job)
        if not self._by_token(job):
            await self._drop_waiting(job)
        await self._send_privately(job)
        return message_id

    async def _send_privately(self, job: Job) -> None:
        """To those who want results by direct message; the result is out, so nothing here may fail it."""
        wishes = await self._client.services.preferences.of(job.requester.user_id)
        if not wishes.auto_dm:
            return
        try:
            await mail(self._client, job.requester.user_id, job, wishes.locale)
        except MailClosed as error:
            await self._close_mail(job, translated(sentence_of(error), wishes.locale))
        except Exception as error:
            log.warning("job %s could not be sent by direct message: %s", job.id, error)

    async def _close_mail(self, job: Job, reason: str) -> None:
        """Say once, where the result is, why no direct message came; then stop trying."""
        user = job.requester.user_id
        try:
            wishes = await self._client.services.preferences.change(user, auto_dm=False)
            said = translated(NO_MORE_MAIL, wishes.locale)
            await self._send_beside(job, f"{wording.mention(user)} {reason} {said}")
        except Exception as error:
            log.warning("could not say that user %s takes no direct messages: %s", user, error)

    async def _send_beside(self, job: Job, content: str) -> None:
        payload: dict[str, Any] = {"content": content, "allowed_mentions": _owner_alone(job)}
        if self._by_token(job):
            await self._webhook(job).send(**payload, ephemeral=True)
        else:
            await self._channel(job).send(**payload)

    async def find_posted(self, job: Job) -> int | None:
        """Look for the job's buttons in what was said in its channel around its latest send."""
        if self._by_token(job):
            return None
        sent = _asked_at(job) + timedelta(seconds=(job.posting_at or job.created_at) - job.created_at)
        after = max(_not_before(job), discord.utils.time_snowflake(sent - EARLY))
        with _told_apart():
            found = await self._seek(job, result_of, after, sent + LATE)
        if found is not None:
            await self._drop_waiting(job)
        return found

    async def tell(self, job: Job, sentence: str) -> None:
        """Turn the waiting message into the sentence, or send it where that message cannot be edited."""
        locale = (await self._client.services.preferences.of(job.requester.user_id)).locale
        content = wording.ended(job, translated(sentence, locale))
        with _told_apart():
            if not await self._edited(job, content):
                await self._send(job, content=content)

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
                return await self._complete(job, file)
            except discord.HTTPException as error:
                limit = len(file.data) * 3 // 4
                if not (error.code in TOO_LARGE or error.status == 413) or limit < SMALLEST_UPLOAD:
                    raise

    async def _complete(self, job: Job, file: Attachment) -> int:
        """The result: an edit of the waiting message where the token is the only way, else a new one."""
        view = result_view(job, locale=await self._language(job))
        result: dict[str, Any] = {"content": wording.done(job), "view": view}
        waiting = await self._waiting(job) if self._by_token(job) else None
        if waiting is not None:
            try:
                await waiting.edit(**result, attachments=[_upload(file)], allowed_mentions=_owner_alone(job))
            except discord.NotFound as error:
                if error.code != UNKNOWN_MESSAGE:
                    raise
            else:
                return waiting.id
        return await self._send(job, **result, file=_upload(file))

    async def _send(self, job: Job, **payload: Any) -> int:
        payload["allowed_mentions"] = _owner_alone(job)
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

    async def _language(self, job: Job) -> str:
        """What the owner reads, as Discord last said it."""
        return (await self._client.services.preferences.of(job.requester.user_id)).locale

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
        message_id = job.message_id or sent or await self._left_behind(job)
        if message_id is None:
            return None
        if self._by_token(job):
            return _ByToken(self._webhook(job), message_id)
        return self._channel(job).get_partial_message(message_id)

    async def _left_behind(self, job: Job) -> int | None:
        """The waiting message that was sent as the process died, or whose answer was lost: by its button."""
        if self._by_token(job) or job.id in self._sought:
            return None
        found = await self._seek(job, waiting_of, _not_before(job), _asked_at(job) + LATE)
        if found is None:
            self._sought.add(job.id)
        else:
            await self._client.services.attach_message(job.id, found)
        return found

    async def _seek(
        self, job: Job, belongs_to: Callable[[discord.Message], str | None], after: int, before: datetime
    ) -> int | None:
        try:
            return await find_message(
                self._channel(job),
                self._client.bot_id,
                lambda message: belongs_to(message) == job.id,
                discord.Object(after),
                before,
            )
        except discord.Forbidden:
            log.warning("may not read the history of channel %s to look for a message", job.place.channel_id)
            return None

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


def _asked_at(job: Job) -> datetime:
    """By Discord's clock: ours may be wrong. Later jobs of one order have no interaction of their own."""
    if job.interaction_id >> 62:
        return datetime.fromtimestamp(job.created_at, UTC)
    return discord.utils.snowflake_time(job.interaction_id)


def _not_before(job: Job) -> int:
    """A snowflake that is older than every message of the job."""
    if job.interaction_id >> 62:
        return discord.utils.time_snowflake(_asked_at(job) - EARLY)
    return job.interaction_id


def _owner_alone(job: Job) -> discord.AllowedMentions:
    return discord.AllowedMentions(
        everyone=False, roles=False, replied_user=False, users=[discord.Object(job.requester.user_id)]
    )


def _upload(file: Attachment) -> discord.File:
    """Made anew for each try, since a request closes its files."""
    return discord.File(io.BytesIO(file.data), file.filename)


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Discord's errors as the outbox knows them: nowhere to go, never to be taken, or worth another try."""
    try:
        yield
    except discord.HTTPException as error:
        if error.code in NO_PLACE:
            raise SinkGone(f"Discord no longer takes messages there: {error.text or error}") from error
        if 400 <= error.status < 500 and error.status not in PASSING:
            raise SinkRefused(f"Discord's error {error.code or error.status} ({error.text})") from error
        raise
