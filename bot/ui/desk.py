"""Where interactions become orders: acknowledge at once, admit, leave a waiting message behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import discord

from bot.domain.change import Change
from bot.domain.custom_id import CustomId, encode
from bot.domain.job import CHANGES, Action, Job, Requester
from bot.domain.preferences import Preferences
from bot.domain.prompt import Prompt, quoted
from bot.domain.sentence import say
from bot.errors import NotAllowed, PictureRefused, UserError
from bot.services import batches, fetcher
from bot.services.admission import Admitted, Order, Upload
from bot.services.app import Services
from bot.ui import batch, caller, wording
from bot.ui.buttons import REMIXED, USED, used_buttons
from bot.ui.components import result_view, waiting_view
from bot.ui.funnel import answer_error, language, mark_answered, tell, think
from bot.ui.history import result_of
from bot.ui.locales import translated
from bot.ui.park import park
from bot.ui.presses import Presses
from bot.ui.remains import remains_of
from bot.ui.welcome import Welcomes

log = logging.getLogger(__name__)
TOKEN_LIFE_S = 15 * 60
FOLLOW_UPS = 5
"""Messages that Discord takes for one interaction where the bot is no member."""
GONE = say(
    "I no longer have this job: it was deleted, or belongs to another copy of me. "
    "Use /imagine with the prompt above to paint it again."
)
_UPDATING = (discord.InteractionType.component, discord.InteractionType.modal_submit)
"""Interactions whose first answer is their own message, so that a waiting message is a new one."""
ELSEWHERE = say("This button belongs to another server; use /imagine to paint it here.")
UNFINISHED = say("This job has not finished yet; press the button again when its pictures are there.")


class Desk:
    """The verbs behind commands and buttons. ``services`` must be open before the first interaction."""

    def __init__(self, services: Services, welcomes: Welcomes) -> None:
        self._services = services
        self._welcomes = welcomes
        self._presses = Presses()

    def requester(self, interaction: discord.Interaction[Any]) -> Requester:
        """Who asks, as of now."""
        return caller.requester(interaction, tuple(self._services.settings.discord.admin_role_ids))

    async def imagine(
        self,
        interaction: discord.Interaction[Any],
        prompt: Prompt,
        uploads: tuple[Upload, ...] = (),
        wishes: Preferences | None = None,
    ) -> None:
        """/imagine: the "thinking" answer becomes the waiting message.

        ``wishes`` take the place of the settings that the asker has.
        """
        caller.require_delivery(interaction)
        with self._once(interaction):
            thinking = await interaction.response.defer(thinking=True)
            order = self._order(
                interaction,
                Action.IMAGINE,
                prompt=prompt,
                uploads=uploads,
                preferences=wishes,
                message_id=thinking.message_id if thinking else None,
            )
            with self._welcomes.expect(interaction.id) as welcome:
                admitted = await self._admit(order)
                if admitted.fresh:
                    mark_answered(interaction)
                    await self._greet(interaction, admitted, welcome)
        await self._note_language(interaction)

    def _once(self, interaction: discord.Interaction[Any]) -> contextlib.AbstractContextManager[None]:
        """A double click on a button of a panel is one order; a command is typed twice only on purpose."""
        if interaction.message is None:
            return contextlib.nullcontext()
        data: Any = interaction.data or {}
        button = interaction.message.id, data.get("custom_id")
        return self._presses.once(interaction.user.id, button, interaction.id)

    async def _note_language(self, interaction: discord.Interaction[Any]) -> None:
        """For what is told later, when no interaction says it any more."""
        user = interaction.user.id
        await park(self._services.preferences.note_locale(user, language(interaction)), "note a language")

    async def ask(
        self,
        interaction: discord.Interaction[Any],
        text: str,
        prompts: Sequence[Prompt],
        pictures: Sequence[discord.Attachment] = (),
    ) -> None:
        """Several jobs at once: their price first, and a question to the asker alone."""
        caller.require_delivery(interaction)
        self._refuse_large(pictures, interaction.filesize_limit)
        await think(interaction)
        orders = batches.orders_of(self._order(interaction, Action.IMAGINE), prompts)
        quote = await park(self._services.batches.quote(orders), "price an order")
        locale = language(interaction)
        content, file = batch.question(text, prompts, quote, locale)
        files = [*([file] if file else []), *[await picture.to_file() for picture in pictures]]
        await interaction.edit_original_response(
            content=content,
            attachments=files,
            view=batch.question_view(len(prompts), locale),
            allowed_mentions=discord.AllowedMentions.none(),
        )

    def _refuse_large(self, pictures: Sequence[discord.Attachment], place_takes: int) -> None:
        """The question hands pictures on, so none is read that admission or the place would refuse."""
        most = min(int(self._services.settings.limits.upload_mb * 2**20), place_takes)
        for picture in pictures:
            if picture.size > most:
                raise fetcher.too_large(quoted(picture.filename), most)

    async def imagine_all(
        self,
        interaction: discord.Interaction[Any],
        prompts: Sequence[Prompt],
        pictures: Sequence[discord.Attachment] = (),
    ) -> int:
        """A press that orders several jobs: each gets a waiting message of its own.

        How many there are; UserError when there is none, and the rest is told.
        """
        caller.require_delivery(interaction)
        if caller.token_only(interaction) and len(prompts) > FOLLOW_UPS:
            raise UserError(say("Here Discord lets me answer {most} times; ask for fewer.", most=FOLLOW_UPS))
        if not interaction.response.is_done():
            await interaction.response.defer()
        uploads = tuple(map(upload_of, pictures))
        orders = batches.orders_of(self._order(interaction, Action.IMAGINE, uploads=uploads), prompts)
        with self._once(interaction), contextlib.ExitStack() as expected:
            welcomes = {
                order.interaction_id: expected.enter_context(self._welcomes.expect(order.interaction_id))
                for order in orders
            }
            admitted = await park(self._services.batches.admit(orders), "admission")
            for one in (one for one in admitted.admitted if one.fresh):
                await self._greet(interaction, one, welcomes[one.job.interaction_id])
            if admitted.refused is not None and not admitted.admitted:
                raise admitted.refused
        if admitted.refused is not None:
            await answer_error(interaction, admitted.refused)
        return len(admitted.admitted)

    async def derive(
        self,
        interaction: discord.Interaction[Any],
        pressed: CustomId,
        action: Action,
        *,
        change: Change | None = None,
        prompt: Prompt | None = None,
    ) -> None:
        """A job made from another one, for whoever pressed; ``prompt`` takes the place of the other's."""
        caller.require_delivery(interaction)
        if prompt is not None:
            change = replace(change or CHANGES.get(action) or Change(), remixed=True)
        with self._presses.once(interaction.user.id, pressed, interaction.id):
            message_id = await self._acknowledge(interaction)
            await self.parent(interaction, pressed)
            order = self._order(
                interaction,
                action,
                parent_id=pressed.job_id,
                index=pressed.index,
                message_id=message_id,
                change=change,
                prompt=prompt,
            )
            with self._welcomes.expect(interaction.id) as welcome:
                admitted = await self._admit(order)
                if admitted.fresh:
                    mark_answered(interaction)
                    await self._greet(interaction, admitted, welcome)
        if message_id is None:
            await self.colour(interaction, pressed, USED if prompt is None else REMIXED)
        await self._note_language(interaction)

    async def _acknowledge(self, interaction: discord.Interaction[Any]) -> int | None:
        """Answer a press at once. Where only the token reaches, the answer is the waiting message already.

        There the result can only be sent exactly once by editing a message whose id the job's row knows.
        """
        answer = await interaction.response.defer(thinking=caller.token_only(interaction))
        return answer.message_id if answer and caller.token_only(interaction) else None

    def delivered(self, job: Job) -> None:
        """A job's result is posted."""
        self._presses.answered(job.interaction_id)

    async def cancel(self, interaction: discord.Interaction[Any], pressed: CustomId) -> None:
        """Ends a job of one's own; the waiting message will say so."""
        await interaction.response.defer()
        await self.job(interaction, pressed)
        await park(self._services.cancel(pressed.job_id, self.requester(interaction)), "cancel a job")

    async def delete(self, interaction: discord.Interaction[Any], pressed: CustomId) -> None:
        """Removes a result of one's own: pictures first, then the message."""
        await interaction.response.defer()
        await self.job(interaction, pressed)
        await park(self._services.delete(pressed.job_id, self.requester(interaction)), "delete a job")
        await interaction.delete_original_response()
        await tell(interaction, say("Deleted: the pictures and what I stored of them are gone."))

    def _order(self, interaction: discord.Interaction[Any], action: Action, **details: Any) -> Order:
        """A token is stored only where the bot has no other way, so that the rows hold as few as can be."""
        token_only = caller.token_only(interaction)
        return Order(
            interaction_id=interaction.id,
            requester=self.requester(interaction),
            place=caller.place(interaction),
            action=action,
            token=interaction.token if token_only else None,
            token_expires_at=time.time() + TOKEN_LIFE_S if token_only else None,
            token_only=token_only,
            **details,
        )

    async def _admit(self, order: Order) -> Admitted:
        return await park(self._services.admission.admit(order), "admission")

    async def job(self, interaction: discord.Interaction[Any], pressed: CustomId) -> Job:
        """The job a button belongs to; UserError for buttons of unknown jobs and of other places."""
        job = await park(self._services.job(pressed.job_id), "look up a job")
        job = job or await self._adopted(interaction, pressed)
        if job is None:
            raise UserError(GONE)
        here = caller.place(interaction)
        same = here.channel_id == job.place.channel_id if here.guild_id is None else True
        own = job.requester.user_id == interaction.user.id
        if not own and (here.guild_id != job.place.guild_id or not same):
            raise NotAllowed(ELSEWHERE)
        return job

    async def _adopted(self, interaction: discord.Interaction[Any], pressed: CustomId) -> Job | None:
        """The job as the picture of its message tells it, where the row is gone with an old data folder."""
        message = interaction.message
        if message is None or result_of(message) != pressed.job_id:
            return None
        found = await park(
            remains_of(message, interaction.client, caller.place(interaction)), "read a picture"
        )
        return (
            None if found is None else await park(self._services.adopt(pressed.job_id, found), "adopt a job")
        )

    async def parent(self, interaction: discord.Interaction[Any], pressed: CustomId) -> Job:
        """The same, with the picture that the button means; UserError where there is none yet."""
        job = await self.job(interaction, pressed)
        if pressed.index is not None and pressed.index >= len(job.seeds):
            raise UserError(GONE)
        if job.result_message_id is None and job.error is None and job.status.value in ("queued", "running"):
            raise UserError(UNFINISHED)
        return job

    async def _greet(
        self, interaction: discord.Interaction[Any], admitted: Admitted, welcome: asyncio.Future[int | None]
    ) -> None:
        """Show the waiting message. The job is owed from now on, so a failure here is only logged."""
        job = admitted.job
        try:
            message = await self._send_waiting(interaction, admitted)
        except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.warning("job %s has no waiting message: %s", job.id, error)
            return
        if message.id != job.message_id:
            await park(self._services.attach_message(job.id, message.id), "remember the waiting message")
        welcome.set_result(message.id)

    async def _send_waiting(
        self, interaction: discord.Interaction[Any], admitted: Admitted
    ) -> discord.Message:
        job, wait, nobody = admitted.job, "", discord.AllowedMentions.none()
        if admitted.ahead:
            line = wording.wait_line(admitted.ahead, admitted.wait_s, time.time())
            wait = translated(line, language(interaction))
        content = wording.waiting(job, wait)
        view = waiting_view(job.id, language(interaction))
        if interaction.type in _UPDATING and job.message_id is None:
            return await interaction.followup.send(content, view=view, allowed_mentions=nobody, wait=True)
        return await interaction.edit_original_response(content=content, view=view, allowed_mentions=nobody)

    async def colour(
        self, interaction: discord.Interaction[Any], pressed: CustomId, style: discord.ButtonStyle | None
    ) -> None:
        """Colour the pressed button, or take its colour. Only decoration, so no message is no error."""
        message = interaction.message
        owner = await park(self._services.job(_job_id_of(message)), "look up a job") if message else None
        if message is None or owner is None:
            return
        before = used_buttons(message)
        used = {custom_id: kept for custom_id, kept in before.items() if custom_id != encode(pressed)}
        used |= {encode(pressed): style} if style else {}
        if used == before:
            return
        wishes = await park(self._services.preferences.of(owner.requester.user_id), "read settings")
        try:
            await interaction.edit_original_response(view=result_view(owner, used, wishes.locale))
        except discord.HTTPException as error:
            log.info("could not colour a button: %s", error)


def _job_id_of(message: discord.Message) -> str:
    """The job whose result a message is, by its delete button."""
    return result_of(message) or ""


def upload_of(attachment: discord.Attachment) -> Upload:
    """An attached picture, read when admission wants it."""

    async def read() -> bytes:
        try:
            return await attachment.read()
        except discord.HTTPException as error:
            raise PictureRefused(
                say("Discord did not hand over the attached picture; please attach it again.")
            ) from error

    return Upload(attachment.filename, attachment.content_type, attachment.size, read)
