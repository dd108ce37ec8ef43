"""Orders of several jobs: asked about with their price, then painted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord
from discord import ui

from bot.domain.custom_id import NO_JOB, CustomId
from bot.domain.policy import amount
from bot.domain.prompt import Prompt, render
from bot.domain.sentence import Sentence, say
from bot.services.batches import Quote
from bot.ui.carry import carried, pictures_of, text_of
from bot.ui.components import ExplainButton
from bot.ui.echo import CONTENT_LIMIT, escape, units
from bot.ui.funnel import language, remember_prompt
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, panel, view_of
from bot.ui.reading import read_all

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

SHOWN = 8
"""Prompts of an order that its question lists."""


class PaintButton(PanelButton, template=panel("batch")):
    """Yes: paints what the message asks about, with the prompt and pictures that it carries."""

    key = "batch"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.response.defer()
        message = interaction.message
        assert message is not None
        text = await text_of(message)
        pictures = pictures_of(message)
        remember_prompt(interaction, text)
        prompts = await read_all(interaction, text, len(pictures))
        # The question stays until it is done: a refusal may be mended, and its pictures are read from there.
        count = await interaction.client.desk.imagine_all(interaction, prompts, pictures)
        done = translated(say("Jobs ordered: {count}.", count=count), language(interaction))
        await interaction.edit_original_response(content=done, view=None, attachments=[])


class DropButton(PanelButton, template=panel("batch-drop")):
    """No."""

    key = "batch-drop"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        said = translated(say("Dropped; nothing was ordered."), language(interaction))
        await interaction.response.edit_message(content=said, view=None, attachments=[])


ITEMS = (PaintButton, DropButton)


def question(
    text: str, prompts: Sequence[Prompt], quote: Quote, locale: str
) -> tuple[str, discord.File | None]:
    """What is asked, with a block or file that carries the text."""
    head = translated(
        say(
            "These are **{jobs} jobs** with {images} pictures for **{price}**, done in about {wait}. "
            "Paint them?",
            jobs=quote.jobs,
            images=quote.images,
            price=amount(quote.credits, quote.unit),
            wait=duration(quote.wait_s),
        ),
        locale,
    )
    lines = [
        f"- {escape(render(prompt).replace('attachment:', 'picture:'), 80)}" for prompt in prompts[:SHOWN]
    ]
    if len(prompts) > SHOWN:
        lines.append(translated(say("- and {count} more", count=len(prompts) - SHOWN), locale))
    said = "\n".join((head, *lines))
    block, file = carried(text, CONTENT_LIMIT - units(said) - 1)
    return f"{said}\n{block}".strip(), file


def duration(seconds: float) -> Sentence:
    """For people."""
    if seconds < 90:
        return say("{count} seconds", count=max(1, round(seconds)))
    return say("{count} minutes", count=round(seconds / 60))


def question_view(jobs: int, locale: str) -> ui.View:
    """Yes and no."""
    yes = translated(say("Paint {count} jobs", count=jobs), locale)
    return view_of(
        [
            [
                PaintButton("", yes, style=discord.ButtonStyle.success),
                ExplainButton(CustomId("explain", NO_JOB), locale=locale),
                DropButton("", translated(say("Drop"), locale)),
            ]
        ]
    )
