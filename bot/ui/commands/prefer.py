"""/prefer: options and a suffix of one's own, remix, variability, results by direct message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.domain.preferences import MOST_OPTIONS, Preferences, Variability
from bot.domain.prompt import quoted
from bot.domain.sentence import Sentence, join, say
from bot.services.preferences import PreferenceBook
from bot.ui.echo import CONTENT_LIMIT, escape
from bot.ui.funnel import remember_prompt, tell, think
from bot.ui.park import park

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

prefer = app_commands.Group(
    name="prefer",
    description="Options and a suffix of your own, remix, variability, direct messages.",
    allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=True, private_channel=True),
    allowed_installs=app_commands.AppInstallationType(guild=True, user=True),
)
option = app_commands.Group(name="option", description="Flags of your own.", parent=prefer)


def _book(interaction: discord.Interaction[TesseraClient]) -> PreferenceBook:
    return interaction.client.services.preferences


async def _kept(interaction: discord.Interaction[TesseraClient]) -> Preferences:
    return await park(_book(interaction).of(interaction.user.id), "read settings")


@option.command(name="set", description="Let --name stand for a text or flags of yours; no value removes it.")
@app_commands.describe(
    name="The option's name, such as mine for --mine.",
    value="What it stands for, such as --ar 3:2 --s 250; left out, the option is removed.",
)
async def option_set(
    interaction: discord.Interaction[TesseraClient],
    name: app_commands.Range[str, 1, 64],
    value: app_commands.Range[str, 1, 2000] | None = None,
) -> None:
    """Twenty at most."""
    await think(interaction)
    remember_prompt(interaction, value or "")
    await park(_book(interaction).set_option(interaction.user.id, name, value or ""), "set an option")
    bare = name.strip().lstrip("-—–－")
    if value is None:
        await tell(interaction, say("`--{name}` is gone.", name=bare))
    else:
        text = quoted(value)
        await tell(interaction, say("`--{name}` stands for {text} from now on.", name=bare, text=text))


@option.command(name="list", description="The options you have set.")
async def option_list(interaction: discord.Interaction[TesseraClient]) -> None:
    """For the asking user's eyes only."""
    await think(interaction)
    await tell(interaction, _listed(await _kept(interaction)))


def _listed(kept: Preferences) -> Sentence:
    if not kept.options:
        return say("You have no options; /prefer option set makes one, {most} at most.", most=MOST_OPTIONS)
    room = (CONTENT_LIMIT - 200) // MOST_OPTIONS - 40
    lines = [f"- `--{name}` {escape(text, room)}" for name, text in sorted(kept.options.items())]
    return join((say("Your options:"), *lines))


@prefer.command(name="suffix", description="Put a text or flags behind each of your prompts.")
@app_commands.describe(value="What to add, such as soft light --ar 3:2; left out, nothing is added.")
async def suffix(
    interaction: discord.Interaction[TesseraClient],
    value: app_commands.Range[str, 1, 1000] | None = None,
) -> None:
    """Checked now, so that no prompt breaks for it later."""
    await think(interaction)
    remember_prompt(interaction, value or "")
    models = interaction.client.services.engine.models()
    setting = _book(interaction).set_suffix(interaction.user.id, value or "", models)
    kept = await park(setting, "set the suffix")
    if kept.suffix:
        text = quoted(kept.suffix)
        await tell(interaction, say("Behind each of your prompts from now on: {text}", text=text))
    else:
        await tell(interaction, say("Nothing is put behind your prompts any more."))


async def _toggle(
    interaction: discord.Interaction[TesseraClient], name: str, says: Mapping[Any, Sentence]
) -> None:
    """From one of two values to the other; ``says`` what each means."""
    await think(interaction)
    now = getattr(await _kept(interaction), name)
    wanted = next(value for value in says if value != now)
    await park(_book(interaction).change(interaction.user.id, **{name: wanted}), "change a setting")
    await tell(interaction, says[wanted])


REMIX = {
    True: say("Remix is on: V, vary, re-roll, pan and zoom let you change the prompt first."),
    False: say("Remix is off: buttons paint at once."),
}
VARIATION = {
    Variability.SUBTLE: say("V paints subtle variations from now on: close to the picture."),
    Variability.STRONG: say("V paints strong variations from now on: details are painted anew."),
}
AUTO_DM = {
    True: say("I send your results by direct message too, from now on. Your direct messages must be open."),
    False: say("I no longer send your results by direct message."),
}


@prefer.command(name="remix", description="Switch remix on or off: buttons let you change the prompt first.")
async def remix(interaction: discord.Interaction[TesseraClient]) -> None:
    """A toggle, as those below."""
    await _toggle(interaction, "remix", REMIX)


@prefer.command(name="variability", description="Switch between strong and subtle variations.")
async def variability(interaction: discord.Interaction[TesseraClient]) -> None:
    """How far V goes."""
    await _toggle(interaction, "variation", VARIATION)


@prefer.command(name="auto_dm", description="Switch results by direct message on or off.")
async def auto_dm(interaction: discord.Interaction[TesseraClient]) -> None:
    """Beside the message in the channel."""
    await _toggle(interaction, "auto_dm", AUTO_DM)
