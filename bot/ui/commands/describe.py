"""/describe: four prompts for a picture, each a button."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import discord
from discord import app_commands, ui

from bot.domain.prompt import Prompt, parse, render
from bot.domain.sentence import say
from bot.errors import PromptError
from bot.services.describer import Description
from bot.ui.commands.everywhere import everywhere
from bot.ui.echo import CONTENT_LIMIT, quoted_block, units
from bot.ui.funnel import language, mark_answered
from bot.ui.ideas import idea_rows
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, panel, view_of
from bot.ui.park import park
from bot.ui.source import Source, picture_on, source

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


class AgainButton(PanelButton, template=panel("describe")):
    """Four other prompts for the picture on the message; the argument counts the turns."""

    key = "describe"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        assert interaction.message is not None
        attachment, link = picture_on(interaction.message)
        await interaction.response.defer()
        seen = await source(interaction.client, attachment, link)
        turn = int(self.argument) + 1
        described = await park(
            interaction.client.services.describer.describe(seen.png, seen.texts, turn), "describe"
        )
        locale = language(interaction)
        await interaction.edit_original_response(
            content=description_text(described, locale),
            view=description_view(described, turn, locale),
            allowed_mentions=discord.AllowedMentions.none(),
        )


ITEMS = (AgainButton,)


def description_text(described: Description, locale: str, head: str = "") -> str:
    """How the prompts came about, then each in a block of its own."""
    said = "\n".join(part for part in (head, translated(described.method, locale)) if part)
    room = (CONTENT_LIMIT - units(said)) // max(1, len(described.prompts)) - 1
    blocks = [quoted_block(_cut(prompt, room), room) or "" for prompt in described.prompts]
    return "\n".join((said, *blocks))


def _cut(prompt: str, room: int) -> str:
    """Of a prompt that is too long, as many whole words as there is room for; its flags stay whole."""
    if units(prompt) <= room - 10:
        return prompt
    try:
        left: Prompt | None = parse(prompt, max_length=units(prompt))
    except PromptError:
        return _cut_anywhere(prompt, room)
    while left is not None:
        prompt = render(left)
        if units(prompt) <= room - 10:
            return prompt
        left = _shorter(left)
    return _cut_anywhere(prompt, room)


def _shorter(prompt: Prompt) -> Prompt | None:
    """Without the last word of the text, or of what is left out where that is longer; None when bare."""
    left_out = prompt.listed("no")
    if units(" ".join(left_out)) > units(prompt.text):
        return prompt.with_values(no=left_out[:-1] or None)
    text = prompt.text.rpartition(" ")[0] or prompt.text[: len(prompt.text) * 7 // 8]
    return replace(prompt, text=text) if text else None


def _cut_anywhere(prompt: str, room: int) -> str:
    while units(prompt) > room - 10:
        prompt = prompt.rpartition(" ")[0] or prompt[: (room - 10) // 2]
    return prompt


def description_view(described: Description, turn: int, locale: str) -> ui.View:
    """A button for each prompt, one for all, one to try again."""
    rows = idea_rows(len(described.prompts), locale)
    rows[-1].append(AgainButton(str(turn), translated(say("Try again"), locale), emoji="🔄"))
    return view_of(rows)


async def answer(
    interaction: discord.Interaction[TesseraClient], seen: Source, head: str = "", *, ephemeral: bool
) -> None:
    """Describe a picture; the interaction is deferred."""
    described = await park(interaction.client.services.describer.describe(seen.png, seen.texts), "describe")
    file = await park(seen.file(), "draw a picture")
    locale = language(interaction)
    mark_answered(interaction)
    await interaction.followup.send(
        description_text(described, locale, head),
        file=file,
        view=description_view(described, 0, locale),
        allowed_mentions=discord.AllowedMentions.none(),
        ephemeral=ephemeral,
    )


@app_commands.command(name="describe", description="Get four prompts for a picture.")
@app_commands.describe(image="The picture.", link="A link to the picture, in place of an attached one.")
@everywhere
async def describe(
    interaction: discord.Interaction[TesseraClient],
    image: discord.Attachment | None = None,
    link: app_commands.Range[str, 1, 2000] | None = None,
) -> None:
    """In public, as on Midjourney: anyone may paint a prompt."""
    await interaction.response.defer(thinking=True)
    await answer(interaction, await source(interaction.client, image, link), ephemeral=False)
