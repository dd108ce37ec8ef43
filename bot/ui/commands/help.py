"""/help: the commands, the flags, and what is stored, a page for each topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.app_commands import Choice, locale_str

from bot.domain.flags import FLAGS, Flag
from bot.domain.permutations import MOST
from bot.domain.sentence import Sentence, join, say
from bot.ui.commands.everywhere import everywhere
from bot.ui.commands.privacy import STORED
from bot.ui.funnel import language, tell
from bot.ui.locales import translated
from bot.ui.locales.zh_commands import COMMANDS as ZH

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

HEAD = say(
    """**/imagine** paints a grid of pictures, for example `/imagine a red apple --ar 3:2 --seed 7`.
Under a grid: **U1** posts picture 1 at full size, **V1** paints variations of it, 🔄 paints the prompt \
again, 🗑️ deletes. Anyone may press; who presses pays. Under one picture, ❤️ makes it a favourite.
**/history** finds your pictures again, **/info** shows your credit, `/help topic` tells more. \
Image links or an attached picture go before the text.

**Flags** (after the text)"""
)
FOOT = say(
    """
I store your prompts and pictures, your user id and what you spent, until you delete the pictures (🗑️) \
or everything (/privacy), or the operator does."""
)
BUTTONS = say(
    """**Under a grid**: U1 to U4 post one picture at full size, V1 to V4 paint variations of it, 🔄 paints \
the prompt again, 🗑️ deletes (the owner's own, or an admin). Under one picture: upscale, vary, zoom \
out, pan, make square, ❤️ favourite.
A used button changes colour and can be used again. Buttons work after a restart, and for pictures whose \
files are gone. With **/prefer remix** they let you change the prompt first.
**Reactions** by the owner: ✉️ sends each picture with its job and seed by direct message; ❌ cancels a \
running job and deletes a finished one.
**Right-click on a message, Apps**: Cancel Job, DM Results, Report Job, Use as Image Prompt, \
Describe & Parameters."""
)
PICTURES = say(
    """**A picture in front of the text** is where painting starts; `--iw` says how strongly it counts. \
Attach it or give its link. `--sref`, `--cref` and `--oref` take style, character or thing from pictures, \
where the model has an adapter.
**/blend** mixes two to five pictures. **/describe** gives four prompts for a picture. **/remix** paints a \
picture again from the parameters in its file: the same, changed, or varied; it reads those of this bot, \
stable-diffusion-webui, ComfyUI, Fooocus and NovelAI."""
)


def flag_line(flag: Flag) -> Sentence:
    """One row of the table, short enough for all of them to fit one message."""
    names = " ".join(f"`--{spelling}`" for spelling in flag.spellings)
    value = f" {flag.example}" if flag.example else ""
    return say("- {flag}: {help}", flag=names + value, help=Sentence(flag.help))


def text() -> Sentence:
    """What /help answers without a topic; one message."""
    rare = " ".join(f"`--{flag.spellings[0]}`" for flag in FLAGS if not flag.common)
    common = (flag_line(flag) for flag in FLAGS if flag.common)
    return join((HEAD, *common, say("- also {flags}", flags=rare), FOOT))


def several() -> Sentence:
    """Permutations and repeats."""
    return say(
        "`a {{red, blue}} bird --ar {{3:2, 1:1}}` are four jobs, up to {most} in all; sets stand inside "
        "each other, `\\,` is a comma. `--repeat 3` orders three grids. You are asked first, with the price. "
        "`cat::2 fog::-1` weighs ideas in one picture. `/prefer option set` makes flags of your own, "
        "`/prefer suffix` puts something behind each prompt.",
        most=MOST,
    )


def _commands(client: TesseraClient, locale: str) -> str:
    return "\n".join(_command_lines(client, locale.startswith("zh")))


def _command_lines(client: TesseraClient, chinese: bool) -> Iterator[str]:
    for command in client.tree.get_commands():
        if not isinstance(command, app_commands.ContextMenu):
            said = ZH.get(command.description, command.description) if chinese else command.description
            name = f" ({ZH[command.name]})" if chinese and command.name in ZH else ""
            yield f"- **/{command.name}**{name} {said}"


def _flags(client: TesseraClient, locale: str) -> str:
    return translated(join(flag_line(flag) for flag in FLAGS), locale)


def _said(sentence: Callable[[], Sentence]) -> Callable[[TesseraClient, str], str]:
    return lambda client, locale: translated(sentence(), locale)


TOPICS: dict[str, Callable[[TesseraClient, str], str]] = {
    "Basics": _said(text),
    "Commands": _commands,
    "All flags": _flags,
    "Buttons and reactions": _said(lambda: BUTTONS),
    "Pictures as prompts": _said(lambda: PICTURES),
    "Several jobs at once": _said(several),
    "Privacy": _said(lambda: STORED),
}


@app_commands.command(name="help", description="How to ask for pictures, all flags, and what is stored.")
@app_commands.describe(topic="What to read about; the basics when left out.")
@app_commands.choices(topic=[Choice(name=locale_str(name), value=name) for name in TOPICS])
@everywhere
async def help_command(interaction: discord.Interaction[TesseraClient], topic: str = "Basics") -> None:
    """For the asking user's eyes only; a page that is longer than a message comes in parts."""
    page = TOPICS.get(topic, TOPICS["Basics"])(interaction.client, language(interaction))
    for part in parts(page):
        await tell(interaction, part)


def parts(page: str, most: int = 1990) -> Iterator[str]:
    """The page in messages, cut between lines."""
    said = ""
    for line in page.split("\n"):
        if said and len(said) + len(line) + 1 > most:
            yield said
            said = line
        else:
            said = f"{said}\n{line}" if said else line
    yield said
