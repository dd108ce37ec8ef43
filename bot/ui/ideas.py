"""Buttons that paint a prompt which a message carries: one each, all of them, or a changed one.

/describe, /shorten and /remix put their prompts into code blocks; a press reads them from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord
from discord import ui

from bot.domain.sentence import say
from bot.errors import UserError
from bot.services import specs
from bot.ui.carry import text_of, texts_of
from bot.ui.desk import upload_of
from bot.ui.forms import LIFE_S, MOST, fitting, passing_id
from bot.ui.funnel import answer_error, language, remember_prompt
from bot.ui.locales import translated
from bot.ui.panel import PanelButton, panel
from bot.ui.park import park
from bot.ui.reading import read_all

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


async def paint(
    interaction: discord.Interaction[TesseraClient],
    text: str,
    pictures: Sequence[discord.Attachment] = (),
    *,
    typed: bool = True,
) -> None:
    """What /imagine does with a text, and pictures before it; one that nobody typed is not given back."""
    desk = interaction.client.desk
    if typed:
        remember_prompt(interaction, text)
    prompts = await read_all(interaction, text, len(pictures))
    if len(prompts) == 1:
        await desk.imagine(interaction, prompts[0], tuple(map(upload_of, pictures)))
    else:
        await desk.ask(interaction, text, prompts, pictures)


async def paint_exactly(
    interaction: discord.Interaction[TesseraClient],
    text: str,
    pictures: Sequence[discord.Attachment] = (),
) -> None:
    """The same of a prompt that is whole already: no suffix, option or setting may change the picture."""
    client = interaction.client
    wishes = await park(client.services.preferences.of(interaction.user.id), "read settings")
    attached = tuple(f"attachment:{number}" for number in range(len(pictures)))
    remember_prompt(interaction, text)
    models = client.services.engine.models()
    prompt = specs.reader(client.settings, models, attached=attached, wishes=wishes.modes())(text)
    await client.desk.imagine(interaction, prompt, tuple(map(upload_of, pictures)), wishes.modes())


class IdeaButton(PanelButton, template=panel("idea")):
    """Paints one prompt of the message."""

    key = "idea"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await paint(interaction, await text_of(interaction.message, int(self.argument)))


class AllIdeasButton(PanelButton, template=panel("ideas")):
    """Paints all of them."""

    key = "ideas"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        assert interaction.message is not None
        texts = await texts_of(interaction.message)
        prompts = [prompt for text in texts for prompt in await read_all(interaction, text)]
        if len(prompts) > len(texts):
            raise UserError(
                say("Some of these stand for several jobs; press their own buttons, which ask first.")
            )
        await interaction.client.desk.imagine_all(interaction, prompts)


class EditIdeaButton(PanelButton, template=panel("idea-edit")):
    """Opens a window with the prompt, to change it first."""

    key = "idea-edit"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        text = await text_of(interaction.message, int(self.argument or 0))
        await interaction.response.send_modal(PromptWindow(text, (), language(interaction)))


class PromptWindow(ui.Modal):
    """A window with a prompt; what is sent off is painted, with ``pictures`` in front."""

    def __init__(self, text: str, pictures: Sequence[discord.Attachment], locale: str) -> None:
        super().__init__(title=translated(say("Paint this"), locale), custom_id=passing_id(), timeout=LIFE_S)
        self.pictures = pictures
        self.prompt: ui.TextInput[PromptWindow] = ui.TextInput(
            label=translated(say("Prompt"), locale),
            custom_id="prompt",
            style=discord.TextStyle.paragraph,
            default=fitting(text),
            max_length=MOST,
            required=not pictures,
        )
        self.add_item(self.prompt)

    async def on_submit(self, interaction: discord.Interaction[TesseraClient]) -> None:  # type: ignore[override]
        """As /imagine."""
        await paint(interaction, self.prompt.value, self.pictures)

    async def on_error(self, interaction: discord.Interaction[TesseraClient], error: Exception) -> None:  # type: ignore[override]
        """discord.py only logs what a window raises."""
        await answer_error(interaction, error)


ITEMS = (IdeaButton, AllIdeasButton, EditIdeaButton)


def idea_rows(count: int, locale: str) -> list[list[PanelButton]]:
    """One button for each prompt, one for all."""
    numbers: list[PanelButton] = [
        IdeaButton(str(place), str(place + 1), emoji="🎨") for place in range(count)
    ]
    if count < 2:
        return [numbers]
    return [numbers, [AllIdeasButton("", translated(say("Paint all"), locale), emoji="🎉")]]
