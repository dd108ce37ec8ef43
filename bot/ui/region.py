"""Vary (Region) without a website: numbered fields to choose from, or a name for what is to be repainted."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import discord
from discord import ui

from bot.domain.change import FIELDS, SIDE
from bot.domain.custom_id import CustomId, decode, template
from bot.domain.sentence import say
from bot.ui.buttons import USED, JobButton, used_buttons
from bot.ui.panel import view_of

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

FILE = "regions.png"
HEAD = say(
    "What should be painted anew? Choose one or more of the numbered fields, then press Paint. Or name what "
    "you mean, such as the sky."
)


class CellButton(JobButton, template=template("cell")):
    """One numbered field, in or out; its index is the field's."""

    action = "cell"

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return str((custom_id.index or 0) + 1)

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.toggle(interaction, self.carried)


class PaintButton(JobButton, template=template("paint")):
    """Asks what to paint in the chosen fields."""

    action = "paint"
    style = discord.ButtonStyle.success
    emoji = "🖌️"
    label = say("Paint")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.ask_fields(interaction, self.carried)


class NameButton(JobButton, template=template("name")):
    """Asks what to look for in the picture, and what to paint there."""

    action = "name"
    emoji = "🔤"
    label = say("Name it")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.ask_name(interaction, self.carried)


REGION_BUTTONS: tuple[type[JobButton], ...] = (CellButton, PaintButton, NameButton)


def chosen(message: discord.Message) -> frozenset[int]:
    """The zero-based fields that are chosen on a panel, by their colour."""
    carried = [decode(custom_id) for custom_id in used_buttons(message)]
    return frozenset(
        one.index for one in carried if one.action == CellButton.action and one.index is not None
    )


def panel_view(job_id: str, cells: Iterable[int], locale: str) -> ui.View:
    """Three rows of fields, the chosen ones coloured, and what to do with them."""
    kept = frozenset(cells)
    fields = [
        CellButton(CustomId("cell", job_id, cell), style=USED if cell in kept else None)
        for cell in range(FIELDS)
    ]
    rows = [fields[first : first + SIDE] for first in range(0, FIELDS, SIDE)]
    ends = [button(CustomId(button.action, job_id), locale=locale) for button in (PaintButton, NameButton)]
    return view_of([*rows, ends])


def overlay(png: bytes) -> discord.File:
    """The picture under its numbers."""
    return discord.File(io.BytesIO(png), FILE)
