"""The buttons under our messages: what they look like, how they are laid out, and which verb a click means.

Everything a click needs is in its custom id, so buttons work after a restart and on messages of any age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import discord
from discord import ui

from bot.domain.custom_id import CustomId, encode, from_match, template
from bot.domain.job import Action, Job
from bot.ui.explainer import ExplainButton
from bot.ui.funnel import answer_error

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

ROW = 5
"""Discord's limit of buttons in a row; five rows make a message."""


class JobButton(ui.DynamicItem[ui.Button[ui.View]], template=template("none")):
    """A button that carries a :class:`CustomId`; subclasses say how it looks and what a press does."""

    action: ClassVar[str]
    style: ClassVar[discord.ButtonStyle] = discord.ButtonStyle.secondary
    emoji: ClassVar[str | None] = None

    def __init__(self, custom_id: CustomId, *, used: bool = False, row: int | None = None) -> None:
        self.carried = custom_id
        style = discord.ButtonStyle.primary if used else self.style
        super().__init__(
            ui.Button(
                style=style,
                label=self.label_for(custom_id),
                emoji=self.emoji,
                custom_id=encode(custom_id),
                row=row,
            )
        )

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str | None:
        """The words on the button; None for an emoji alone."""
        return None

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made anew for every click."""
        return cls(from_match(match))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """discord.py only logs what a dynamic item raises; here it ends in a sentence to the user."""
        try:
            await self.pressed(interaction)
        except Exception as error:
            await answer_error(interaction, error)

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        """What the button does."""
        raise NotImplementedError


class UpscaleButton(JobButton, template=template("u")):
    """U1-U9: one picture of the grid at full size."""

    action = "u"

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return f"U{(custom_id.index or 0) + 1}"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.desk.derive(interaction, self.carried, Action.UPSCALE)


class VariationButton(JobButton, template=template("v")):
    """V1-V9: a grid of variations of one picture."""

    action = "v"

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return f"V{(custom_id.index or 0) + 1}"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.desk.derive(interaction, self.carried, Action.VARIATION)


class VaryButton(VariationButton, template=template("vary")):
    """The same under a single picture, where there is no other to choose from."""

    action = "vary"
    emoji = "🪄"

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return "Variations"


class RerollButton(JobButton, template=template("reroll")):
    """The same prompt with new seeds."""

    action = "reroll"
    emoji = "🔄"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.desk.derive(interaction, self.carried, Action.REROLL)


class CancelButton(JobButton, template=template("cancel")):
    """Under a waiting or running job."""

    action = "cancel"
    style = discord.ButtonStyle.danger

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return "Cancel"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.desk.cancel(interaction, self.carried)


class DeleteButton(JobButton, template=template("delete")):
    """Removes a result: message, files and row."""

    action = "delete"
    emoji = "🗑️"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.desk.delete(interaction, self.carried)


BUTTONS: tuple[type[JobButton], ...] = (
    UpscaleButton,
    VariationButton,
    VaryButton,
    RerollButton,
    CancelButton,
    DeleteButton,
)
RESULT_ACTIONS = frozenset(button.action for button in BUTTONS) - {CancelButton.action}
"""Actions that only a result message carries; a waiting message has none of them."""


def waiting_view(job_id: str) -> ui.View:
    """Cancel, and what was understood of the prompt."""
    view = _view([[CancelButton(CustomId(CancelButton.action, job_id))]])
    return view.add_item(ExplainButton(job_id, "Explain", emoji="ℹ️", row=0))


def result_view(job: Job, used: Iterable[str] = ()) -> ui.View:
    """The buttons of a job's result; ``used`` are custom ids of buttons that were pressed before."""
    rows = _single_rows(job) if job.action is Action.UPSCALE else _grid_rows(job)
    return _view([[_coloured(button, frozenset(used)) for button in row] for row in rows])


def used_buttons(message: discord.Message) -> frozenset[str]:
    """Custom ids of the buttons of a message that were pressed before."""
    return frozenset(
        child.custom_id
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button)
        and child.style is discord.ButtonStyle.primary
        and child.custom_id
    )


def _coloured(button: JobButton, used: frozenset[str]) -> JobButton:
    return type(button)(button.carried, used=button.custom_id in used)


def _single_rows(job: Job) -> list[list[JobButton]]:
    """Variations go by the grid's id and index, so that they do not depend on this copy of the picture."""
    origin, index = (job.parent_id, job.index) if job.parent_id else (job.id, 0)
    return [[VaryButton(CustomId("vary", origin, index)), DeleteButton(CustomId("delete", job.id))]]


def _grid_rows(job: Job) -> list[list[JobButton]]:
    """U rows, then V rows; re-roll ends the U rows and delete the V rows where there is room."""
    ups: list[JobButton] = [UpscaleButton(CustomId("u", job.id, index)) for index in range(len(job.seeds))]
    variations: list[JobButton] = [
        VariationButton(CustomId("v", job.id, index)) for index in range(len(job.seeds))
    ]
    reroll, delete = RerollButton(CustomId("reroll", job.id)), DeleteButton(CustomId("delete", job.id))
    upper, lower = _split(ups), _split(variations)
    if len(upper[-1]) == ROW:
        return [*upper, *lower, [reroll, delete]]
    return [*upper[:-1], [*upper[-1], reroll], *lower[:-1], [*lower[-1], delete]]


def _split(buttons: Sequence[JobButton]) -> list[list[JobButton]]:
    """One row up to five, else two rows, the first not shorter than the second."""
    if len(buttons) <= ROW:
        return [list(buttons)]
    half = (len(buttons) + 1) // 2
    return [list(buttons[:half]), list(buttons[half:])]


def _view(rows: Sequence[Sequence[JobButton]]) -> ui.View:
    view = ui.View(timeout=None)
    for number, row in enumerate(rows):
        for button in row:
            button.row = number
            view.add_item(button)
    return view
