"""/remix: a picture of this or another program painted again, changed or varied, by what its file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands, ui

from bot.domain.prompt import parse, render
from bot.domain.sentence import Sentence, join, say
from bot.errors import UserError
from bot.services.describer import Origin
from bot.ui.carry import carried, pictures_of, text_of
from bot.ui.commands.everywhere import everywhere
from bot.ui.echo import CONTENT_LIMIT, escape, units
from bot.ui.funnel import language, think
from bot.ui.ideas import EditIdeaButton, paint_exactly
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, panel, view_of
from bot.ui.park import park
from bot.ui.source import source

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


class VaryPictureButton(PanelButton, template=panel("remix-vary")):
    """Paints the prompt anew from the picture itself, with other noise."""

    key = "remix-vary"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        assert interaction.message is not None
        prompt = parse(await text_of(interaction.message))
        varied = prompt.with_values(seed=None, n=None, blend=None)
        await paint_exactly(interaction, render(varied), pictures_of(interaction.message)[:1])


class ReproduceButton(PanelButton, template=panel("remix-same")):
    """Paints the prompt as it was, whatever settings the presser has."""

    key = "remix-same"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await paint_exactly(interaction, await text_of(interaction.message))


ITEMS = (VaryPictureButton, ReproduceButton)


def origin_text(origin: Origin) -> Sentence:
    """Where the prompt comes from, and what of it cannot be done here."""
    lines: list[str] = [say("**Made with {source}**", source=origin.source)]
    if origin.model:
        lines.append(say("Model there: {name}", name=escape(origin.model, 100)))
    if origin.left_out:
        left = ", ".join(f"`{flag[:60]}`" for flag in origin.left_out)
        lines.append(say("Left out, since the model here cannot do it: {flags}", flags=left))
    return join(lines)


@app_commands.command(
    name="remix", description="Paint a picture again from what its file says: the same, changed, or varied."
)
@app_commands.describe(
    image="A picture of this bot, stable-diffusion-webui, ComfyUI, Fooocus or NovelAI, with its data.",
    link="A link to such a picture, in place of an attached one.",
)
@everywhere
async def remix(
    interaction: discord.Interaction[TesseraClient],
    image: discord.Attachment | None = None,
    link: app_commands.Range[str, 1, 2000] | None = None,
) -> None:
    """For the asking user's eyes; what is painted then is posted as always."""
    await think(interaction)
    seen = await source(interaction.client, image, link)
    origin = await park(interaction.client.services.describer.origin(seen.texts), "read parameters")
    if origin is None:
        raise UserError(
            say(
                "This picture says nothing of how it was made; sites and messengers often take that out. Use "
                "the original file, or /describe for prompts that fit it."
            )
        )
    locale = language(interaction)
    head = translated(origin_text(origin), locale)
    picture = await park(seen.file(), "draw a picture")
    block, file = carried(origin.prompt, CONTENT_LIMIT - units(head) - 1)
    await interaction.followup.send(
        f"{head}\n{block}".strip(),
        files=[entry for entry in (file, picture) if entry is not None],
        view=_view(locale),
        allowed_mentions=discord.AllowedMentions.none(),
        ephemeral=True,
    )


def _view(locale: str) -> ui.View:
    return view_of(
        [
            [
                ReproduceButton("", translated(say("Reproduce"), locale), emoji="🎨"),
                EditIdeaButton("0", translated(say("Remix"), locale), emoji="✏️"),
                VaryPictureButton("", translated(say("Vary"), locale), emoji="🪄"),
            ]
        ]
    )
