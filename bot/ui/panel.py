"""Buttons and menus of panels (settings, history, ideas ...): all state is in the custom id or the message.

So they work after a restart, as the buttons of jobs do; what they raise ends in the same funnel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import discord
from discord import ui

from bot.ui.funnel import Caught

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

PREFIX = "panel"
"""Unlike that of jobs' buttons, so that no custom id fits both."""


def panel(key: str) -> re.Pattern[str]:
    """The pattern of one kind of item; what stands behind the key is its argument."""
    return re.compile(rf"{PREFIX}:{key}:(?P<argument>.*)", re.DOTALL)


def custom_id(key: str, argument: str) -> str:
    """At most 100 characters, or Discord refuses the message: ValueError."""
    text = f"{PREFIX}:{key}:{argument}"
    if len(text) > 100:
        raise ValueError(f"no button can carry {text!r}")
    return text


class PanelButton(Caught, ui.DynamicItem[ui.Button[ui.View]], template=panel("none")):
    """A button with an argument; subclasses say what a press does."""

    key: ClassVar[str]

    def __init__(
        self,
        argument: str = "",
        label: str | None = None,
        *,
        style: discord.ButtonStyle = discord.ButtonStyle.secondary,
        emoji: str | None = None,
        disabled: bool = False,
        row: int | None = None,
    ) -> None:
        self.argument = argument
        super().__init__(
            ui.Button(
                label=label,
                style=style,
                emoji=emoji,
                disabled=disabled,
                row=row,
                custom_id=custom_id(self.key, argument),
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made anew for every click."""
        return cls(match["argument"], "-")


class PanelSelect(Caught, ui.DynamicItem[ui.Select[ui.View]], template=panel("no-menu")):
    """A menu of which one entry is chosen; subclasses say what that does."""

    key: ClassVar[str]

    def __init__(
        self,
        argument: str = "",
        options: Iterable[discord.SelectOption] = (),
        *,
        placeholder: str | None = None,
        row: int | None = None,
    ) -> None:
        self.argument = argument
        super().__init__(
            ui.Select(
                custom_id=custom_id(self.key, argument),
                options=list(options) or [discord.SelectOption(label="-")],
                placeholder=placeholder,
                row=row,
            )
        )

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made anew for every choice."""
        return cls(match["argument"])

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        data: Any = interaction.data or {}
        await self.chosen(interaction, str(next(iter(data.get("values", [])), "")))

    async def chosen(self, interaction: discord.Interaction[TesseraClient], value: str) -> None:
        """What a choice does."""
        raise NotImplementedError


def view_of(rows: Iterable[Iterable[ui.Item[Any]]]) -> ui.View:
    """A view without an end of its own, row by row."""
    view = ui.View(timeout=None)
    for number, row in enumerate(rows):
        for item in row:
            item.row = number
            view.add_item(item)
    return view
