"""/imagine: text, and perhaps a picture, to a grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.config import Settings
from bot.domain.prompt import Prompt
from bot.services import specs
from bot.ui.complete import choices
from bot.ui.desk import upload_of
from bot.ui.funnel import remember_prompt
from engine.api import ModelInfo

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

ATTACHED = "attachment:0"
"""How the prompt refers to the picture that came with the command."""


def read_prompt(
    text: str, settings: Settings, models: Mapping[str, ModelInfo], attached: tuple[str, ...] = ()
) -> Prompt:
    """Parse within this server's limits; PromptError names every fault, those of the model too."""
    return specs.reader(settings, models, attached=attached)(text)


@app_commands.command(name="imagine", description="Paint a grid of pictures from your words.")
@app_commands.describe(
    prompt="What to paint, then flags such as --ar 3:2 or --seed 7; /help lists them.",
    image="A picture to start from (--iw says how strongly it counts).",
)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def imagine(
    interaction: discord.Interaction[TesseraClient],
    prompt: app_commands.Range[str, 1, 6000],
    image: discord.Attachment | None = None,
) -> None:
    """Faults of the prompt are answered at once; everything else happens behind the acknowledgement."""
    client = interaction.client
    attached = (ATTACHED,) if image else ()
    wanted = read_prompt(prompt, client.settings, client.services.engine.models(), attached)
    remember_prompt(interaction, prompt)
    await client.desk.imagine(interaction, wanted, (upload_of(image),) if image else ())


@imagine.autocomplete("prompt")
async def _complete(
    interaction: discord.Interaction[TesseraClient], current: str
) -> list[app_commands.Choice[str]]:
    return choices(current, interaction.client.settings)
