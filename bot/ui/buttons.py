"""What all buttons under our messages have in common: an id that says everything, a language, a funnel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import discord
from discord import ui

from bot.domain.custom_id import CustomId, encode, from_match, template
from bot.domain.sentence import Sentence
from bot.ui.funnel import Caught
from bot.ui.locales import translated

USED, REMIXED = discord.ButtonStyle.primary, discord.ButtonStyle.success
"""What a button becomes that was pressed: as it was, or with another prompt. It stays usable."""
Used = Mapping[str, discord.ButtonStyle]
"""Custom ids of buttons that were pressed, with the colour they have for it."""
FRESH: Used = MappingProxyType({})


class JobButton(Caught, ui.DynamicItem[ui.Button[ui.View]], template=template("none")):
    """A button that carries a :class:`CustomId`; subclasses say how it looks and what a press does."""

    action: ClassVar[str]
    style: ClassVar[discord.ButtonStyle] = discord.ButtonStyle.secondary
    emoji: ClassVar[str | None] = None
    label: ClassVar[Sentence | None] = None
    """The words on it; None for an emoji alone."""

    def __init__(
        self,
        custom_id: CustomId,
        *,
        style: discord.ButtonStyle | None = None,
        row: int | None = None,
        locale: str = "",
    ) -> None:
        self.carried = custom_id
        label = self.label_for(custom_id)
        super().__init__(
            ui.Button(
                style=style or self.style,
                label=None if label is None else translated(label, locale),
                emoji=self.emoji,
                custom_id=encode(custom_id),
                row=row,
            )
        )

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str | None:
        """The words on this one."""
        return cls.label

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made anew for every click."""
        return cls(from_match(match))


def used_buttons(message: discord.Message) -> dict[str, discord.ButtonStyle]:
    """The buttons of a message that were pressed before, as they look."""
    return {
        child.custom_id: child.style
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button) and child.style in (USED, REMIXED) and child.custom_id
    }
