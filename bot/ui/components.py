"""The buttons under our messages: what they look like, how they are laid out, and which verb a click means.

Everything a click needs is in its custom id, so buttons work after a restart and on messages of any age.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import discord
from discord import ui

from bot.domain.change import Change, Layout
from bot.domain.custom_id import CustomId, template
from bot.domain.job import ENLARGING, Action, Job
from bot.domain.sentence import say
from bot.services.derived import seen_shape
from bot.ui.buttons import FRESH, JobButton, Used
from bot.ui.panel import view_of
from bot.ui.region import REGION_BUTTONS

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

ROW = 5
"""Discord's limit of buttons in a row; five rows make a message."""


class DerivingButton(JobButton, template=template("none_derived")):
    """A job made from the picture; with remix on, one that can have another prompt is asked for it."""

    makes: ClassVar[Action]
    change: ClassVar[Change | None] = None

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.press(interaction, self.carried, self.makes, self.change)


class UpscaleButton(DerivingButton, template=template("u")):
    """U1-U9: one picture of the grid at full size."""

    action = "u"
    makes = Action.UPSCALE

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return f"U{(custom_id.index or 0) + 1}"


class VariationButton(DerivingButton, template=template("v")):
    """V1-V9: a grid of variations of one picture, as far from it as the presser's settings say."""

    action = "v"
    makes = Action.VARIATION

    @classmethod
    def label_for(cls, custom_id: CustomId) -> str:
        return f"V{(custom_id.index or 0) + 1}"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.vary(interaction, self.carried)


class VarySubtleButton(DerivingButton, template=template("vary_subtle")):
    """Under a single picture: little is changed."""

    action = "vary_subtle"
    makes = Action.VARY_SUBTLE
    emoji = "🪄"
    label = say("Vary (Subtle)")


class VaryButton(DerivingButton, template=template("vary")):
    """Under a single picture: the layout stays, the details are new."""

    action = "vary"
    makes = Action.VARIATION
    emoji = "🪄"
    label = say("Vary (Strong)")


class RegionButton(JobButton, template=template("region")):
    """Opens the choice of what to paint anew."""

    action = "region"
    emoji = "🖌️"
    label = say("Vary (Region)")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.choose_region(interaction, self.carried)


class UpscaleSubtleButton(DerivingButton, template=template("upscale_subtle")):
    """Twice the size, nothing changed."""

    action = "upscale_subtle"
    makes = Action.UPSCALE_SUBTLE
    emoji = "⏫"
    label = say("Upscale (Subtle)")


class UpscaleCreativeButton(DerivingButton, template=template("upscale_creative")):
    """Twice the size, with new details."""

    action = "upscale_creative"
    makes = Action.UPSCALE_CREATIVE
    emoji = "⏫"
    label = say("Upscale (Creative)")


class ZoomOutButton(DerivingButton, template=template("zoom_two")):
    """More of the scene around the picture."""

    action = "zoom_two"
    makes = Action.ZOOM_OUT
    change = Change(Layout.ZOOM, factor=2.0)
    emoji = "🔍"
    label = say("Zoom Out 2x")


class ZoomLessButton(DerivingButton, template=template("zoom_less")):
    """A little more of it."""

    action = "zoom_less"
    makes = Action.ZOOM_OUT
    change = Change(Layout.ZOOM, factor=1.5)
    emoji = "🔍"
    label = say("Zoom Out 1.5x")


class CustomZoomButton(JobButton, template=template("zoom_custom")):
    """Asks for factor, shape and prompt."""

    action = "zoom_custom"
    emoji = "🔍"
    label = say("Custom Zoom")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.ask_zoom(interaction, self.carried)


class SquareButton(DerivingButton, template=template("square")):
    """New ground on the shorter sides; only under pictures that are not square."""

    action = "square"
    makes = Action.MAKE_SQUARE
    emoji = "↔️"
    label = say("Make Square")


class PanLeftButton(DerivingButton, template=template("pan_left")):
    """New ground on the left."""

    action = "pan_left"
    makes = Action.PAN_LEFT
    emoji = "⬅️"


class PanRightButton(DerivingButton, template=template("pan_right")):
    """New ground on the right."""

    action = "pan_right"
    makes = Action.PAN_RIGHT
    emoji = "➡️"


class PanUpButton(DerivingButton, template=template("pan_up")):
    """New ground above."""

    action = "pan_up"
    makes = Action.PAN_UP
    emoji = "⬆️"


class PanDownButton(DerivingButton, template=template("pan_down")):
    """New ground below."""

    action = "pan_down"
    makes = Action.PAN_DOWN
    emoji = "⬇️"


class RerollButton(DerivingButton, template=template("reroll")):
    """The same again with new seeds."""

    action = "reroll"
    makes = Action.REROLL
    emoji = "🔄"


class FavouriteButton(JobButton, template=template("favourite")):
    """Keeps the picture among the presser's favourites, or takes it out."""

    action = "favourite"
    emoji = "❤️"

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.favourite(interaction, self.carried)


class ParametersButton(JobButton, template=template("parameters")):
    """Seeds and everything else that made the pictures, for the presser alone."""

    action = "parameters"
    emoji = "ℹ️"
    label = say("Seed & parameters")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.parameters(interaction, self.carried)


class ExplainButton(JobButton, template=template("explain")):
    """What was understood of the prompt, what the model leaves aside, and the price."""

    action = "explain"
    emoji = "💬"
    label = say("Explain")

    async def pressed(self, interaction: discord.Interaction[TesseraClient]) -> None:
        await interaction.client.studio.explain(interaction, self.carried)


class CancelButton(JobButton, template=template("cancel")):
    """Under a waiting or running job."""

    action = "cancel"
    style = discord.ButtonStyle.danger
    label = say("Cancel")

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
    VarySubtleButton,
    RegionButton,
    UpscaleSubtleButton,
    UpscaleCreativeButton,
    ZoomOutButton,
    ZoomLessButton,
    CustomZoomButton,
    SquareButton,
    PanLeftButton,
    PanRightButton,
    PanUpButton,
    PanDownButton,
    RerollButton,
    FavouriteButton,
    ParametersButton,
    ExplainButton,
    CancelButton,
    DeleteButton,
    *REGION_BUTTONS,
)


def waiting_view(job_id: str, locale: str = "") -> ui.View:
    """Cancel, and what was understood of the prompt."""
    shown = (CancelButton, ExplainButton)
    return view_of([[button(CustomId(button.action, job_id), locale=locale) for button in shown]])


def result_view(job: Job, used: Used = FRESH, locale: str = "") -> ui.View:
    """The buttons of a job's result, in the language of ``locale``."""
    single = job.action is Action.UPSCALE or job.action in ENLARGING
    if single:
        rows = _single_rows(job)
    elif len(job.seeds) == 1:
        rows = _only_rows(job)
    else:
        rows = _grid_rows(job)
    return view_of([[_dressed(button, used, locale) for button in row] for row in rows])


def _dressed(button: JobButton, used: Used, locale: str) -> JobButton:
    return type(button)(button.carried, style=used.get(button.custom_id), locale=locale)


def _single_rows(job: Job) -> list[list[JobButton]]:
    """As Midjourney lays them out; the last row is ours, with room for one more."""
    width, height = seen_shape(job)
    zooms: list[type[JobButton]] = [ZoomOutButton, ZoomLessButton, CustomZoomButton]
    rows: list[list[type[JobButton]]] = [
        [UpscaleSubtleButton, UpscaleCreativeButton],
        [VarySubtleButton, VaryButton, RegionButton],
        zooms if width == height else [*zooms, SquareButton],
        [PanLeftButton, PanRightButton, PanUpButton, PanDownButton, FavouriteButton],
    ]
    laid = [[button(CustomId(button.action, job.id, 0)) for button in row] for row in rows]
    return [*laid, [_whole(RerollButton, job), *_about(job), _whole(DeleteButton, job)]]


def _only_rows(job: Job) -> list[list[JobButton]]:
    """A grid of one picture is that picture too: what works on one stands beside its U and V."""
    first, second, *rest = _single_rows(job)
    up, variation = (
        button(CustomId(button.action, job.id, 0)) for button in (UpscaleButton, VariationButton)
    )
    return [[up, *first], [variation, *second], *rest]


def _grid_rows(job: Job) -> list[list[JobButton]]:
    """U rows, then V rows; re-roll ends the U rows and delete the V rows where there is room."""
    ups: list[JobButton] = [UpscaleButton(CustomId("u", job.id, index)) for index in range(len(job.seeds))]
    variations: list[JobButton] = [
        VariationButton(CustomId("v", job.id, index)) for index in range(len(job.seeds))
    ]
    reroll, delete = _whole(RerollButton, job), _whole(DeleteButton, job)
    upper, lower = _split(ups), _split(variations)
    if len(upper[-1]) == ROW:
        return [*upper, *lower, [reroll, *_about(job), delete]]
    return [*upper[:-1], [*upper[-1], reroll], *lower[:-1], [*lower[-1], delete], _about(job)]


def _about(job: Job) -> list[JobButton]:
    return [_whole(ParametersButton, job), _whole(ExplainButton, job)]


def _whole(button: type[JobButton], job: Job) -> JobButton:
    return button(CustomId(button.action, job.id))


def _split(buttons: Sequence[JobButton]) -> list[list[JobButton]]:
    """One row up to five, else two rows, the first not shorter than the second."""
    if len(buttons) <= ROW:
        return [list(buttons)]
    half = (len(buttons) + 1) // 2
    return [list(buttons[:half]), list(buttons[half:])]
