"""Where every error of a command or button ends: a sentence to the user, and our own in the log too."""

from __future__ import annotations

import errno
import io
import logging
import secrets
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord import app_commands, ui

from bot.domain.sentence import Sentence, say, sentence_of
from bot.errors import PromptError, StoreError, UserError
from bot.ui.echo import CONTENT_LIMIT, quoted_block, units
from bot.ui.locales import translated

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

log = logging.getLogger(__name__)
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""What a disk says that takes nothing more."""
NOT_OURS = frozenset({40060, 10062})
"""Discord's codes: another delivery was faster, or the three seconds to answer are over."""


async def tell(
    interaction: discord.Interaction[Any],
    sentence: str,
    file: discord.File | None = None,
    view: ui.View | None = None,
) -> None:
    """Answer in the user's language, so that only they see it, whatever was answered before."""
    options: dict[str, Any] = {"ephemeral": True, "allowed_mentions": discord.AllowedMentions.none()}
    options |= {name: value for name, value in (("file", file), ("view", view)) if value is not None}
    sentence = translated(sentence, language(interaction))
    if not interaction.response.is_done():
        await interaction.response.send_message(sentence, **options)
        return
    if _is_thinking(interaction):
        await _take_back(interaction)
    await interaction.followup.send(sentence, **options)


def language(interaction: discord.Interaction[Any]) -> str:
    """What the asking user reads; an answer must go out even where Discord left it unsaid."""
    return str(getattr(interaction, "locale", "en-US"))


def remember_prompt(interaction: discord.Interaction[Any], prompt: str) -> None:
    """Discord forgets what was typed as soon as it is sent; every refusal from here on gives it back."""
    interaction.extras["prompt"] = prompt


async def think(interaction: discord.Interaction[Any]) -> None:
    """Answer at once, for the asker's eyes: what is told next takes the place of "thinking"."""
    await interaction.response.defer(ephemeral=True, thinking=True)
    mark_answered(interaction)


def mark_answered(interaction: discord.Interaction[Any]) -> None:
    """The "thinking" answer has become a message that must stay when something fails later."""
    interaction.extras["answered"] = True


async def _take_back(interaction: discord.Interaction[Any]) -> None:
    """Remove a public "thinking" answer.

    The next follow-up would complete it, and be as public; so it is completed first, then deleted.
    """
    mark_answered(interaction)
    await interaction.edit_original_response(content="…")
    await interaction.delete_original_response()


def _is_thinking(interaction: discord.Interaction[Any]) -> bool:
    deferred = interaction.response.type is discord.InteractionResponseType.deferred_channel_message
    return deferred and not interaction.extras.get("answered", False)


async def answer_error(interaction: discord.Interaction[Any], error: Exception) -> None:
    """Tell the user what went wrong; never raises."""
    error = getattr(error, "original", error)
    if isinstance(error, discord.HTTPException) and error.code in NOT_OURS:
        return
    try:
        await tell(interaction, *_words_for(interaction, error))
    except (discord.HTTPException, aiohttp.ClientError, OSError) as failure:
        log.warning("could not tell the user of an error: %s", failure)


class Caught:
    """A button or menu whose errors end here: discord.py only logs what a dynamic item raises."""

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """discord.py's name for it."""
        try:
            await self.pressed(interaction)
        except Exception as error:
            await answer_error(interaction, error)

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        """What it does."""
        raise NotImplementedError


def _words_for(
    interaction: discord.Interaction[Any], error: Exception
) -> tuple[str] | tuple[str, discord.File]:
    def mine(sentence: str) -> str:
        return translated(sentence, language(interaction))

    if isinstance(error, PromptError):
        faults = "\n".join(f"- {mine(fault)}" for fault in error.faults)
        return _with_prompt(faults, error.prompt, language(interaction))
    typed = str(interaction.extras.get("prompt", ""))
    if isinstance(error, UserError):
        return _with_prompt(mine(sentence_of(error)), typed, language(interaction))
    if isinstance(error, app_commands.TransformerError):
        return (
            say("I could not read {value!r}; please choose from what Discord offers.", value=error.value),
        )
    if isinstance(error, app_commands.CheckFailure):
        return (say("You may not use this command here."),)
    name = interaction.command.qualified_name if interaction.command else "button"
    said = mine(apology(f"{name} of interaction {interaction.id}", error))
    return _with_prompt(said, typed, language(interaction))


def _with_prompt(said: str, prompt: str, locale: str) -> tuple[str] | tuple[str, discord.File]:
    """What was wrong, and the prompt to copy and mend: as text, or as a file where it is too long."""
    said = said[: CONTENT_LIMIT - 100]
    if not prompt.strip():
        return (said,)
    head = f"{said}\n{translated(say('Your prompt was:'), locale)}"
    if block := quoted_block(prompt, CONTENT_LIMIT - units(head) - 1):
        return (f"{head}\n{block}",)
    file = discord.File(io.BytesIO(prompt.encode("utf-8", "replace")), "prompt.txt")
    return (f"{said}\n{translated(say('Your prompt is attached.'), locale)}", file)


def apology(where: str, error: Exception) -> Sentence:
    """For what nobody expected: the log has all of it, the user a reference to it."""
    reference = secrets.token_hex(4)
    log.error("error %s in %s", reference, where, exc_info=error)
    if isinstance(error, StoreError) or (isinstance(error, OSError) and error.errno in NO_ROOM):
        return say(
            "My disk is full or cannot be written, so I could not take this down: nothing was taken. "
            "Tell the operator (reference `{reference}`), and try again later.",
            reference=reference,
        )
    return say(
        "Sorry, something went wrong on my side; nothing was charged that was not painted. Please try again, "
        "and if it happens again, give the operator this reference: `{reference}`.",
        reference=reference,
    )
