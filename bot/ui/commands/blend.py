"""/blend: two to five pictures mixed into a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.app_commands import Choice, locale_str

from bot.ui.commands.everywhere import everywhere
from bot.ui.ideas import paint

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

SHAPES = {"portrait": "--ar 2:3", "square": "", "landscape": "--ar 3:2"}


@app_commands.command(name="blend", description="Mix two to five pictures into new ones.")
@app_commands.describe(
    image1="The first picture.",
    image2="The second picture.",
    image3="A third picture.",
    image4="A fourth picture.",
    image5="A fifth picture.",
    dimensions="The shape of the new pictures; square when left out.",
)
@app_commands.choices(
    dimensions=[
        Choice(name=locale_str("portrait 2:3"), value="portrait"),
        Choice(name=locale_str("square"), value="square"),
        Choice(name=locale_str("landscape 3:2"), value="landscape"),
    ]
)
@everywhere
async def blend(
    interaction: discord.Interaction[TesseraClient],
    image1: discord.Attachment,
    image2: discord.Attachment,
    image3: discord.Attachment | None = None,
    image4: discord.Attachment | None = None,
    image5: discord.Attachment | None = None,
    dimensions: str = "square",
) -> None:
    """A grid as any other: re-rolled, varied and upscaled by its buttons."""
    given = [image for image in (image1, image2, image3, image4, image5) if image is not None]
    await paint(interaction, f"--blend {SHAPES.get(dimensions, '')}".strip(), given, typed=False)
