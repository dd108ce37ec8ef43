"""/shorten: which words of a prompt matter, and five shorter ones as buttons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot.domain import essence
from bot.domain.essence import Word
from bot.domain.prompt import Prompt, render
from bot.domain.sentence import say
from bot.errors import UserError
from bot.services import specs
from bot.ui.commands.everywhere import everywhere
from bot.ui.echo import CONTENT_LIMIT, escape, quoted_block, units
from bot.ui.funnel import language, remember_prompt
from bot.ui.ideas import idea_rows
from bot.ui.locales import translated
from bot.ui.panel import view_of

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient

METHOD = say(
    "**Words that matter** are bold, ~~those that hardly do~~ are crossed out. Told from the words alone: no "
    "model was asked."
)
STRONG = 0.6
"""Weight from which a word is shown bold."""
WEAK = 0.2
"""Weight up to which it is crossed out."""


@app_commands.command(name="shorten", description="See which words of a prompt matter, and get shorter ones.")
@app_commands.describe(prompt="The prompt to shorten; its flags stay.")
@everywhere
async def shorten(
    interaction: discord.Interaction[TesseraClient], prompt: app_commands.Range[str, 1, 6000]
) -> None:
    """In public, as on Midjourney."""
    client, locale = interaction.client, language(interaction)
    remember_prompt(interaction, prompt)
    read = specs.reader(client.settings, client.services.engine.models())
    typed = read(prompt).with_values(repeat=None)
    shorter = [render(replace(typed, text=text)) for text in essence.shorter(typed.text)]
    if not shorter:
        raise UserError(say("This prompt is as short as can be: every word of it matters."))
    content, count = _content(typed, shorter, locale)
    await interaction.response.send_message(
        content, view=view_of(idea_rows(count, locale)), allowed_mentions=discord.AllowedMentions.none()
    )


def _content(typed: Prompt, shorter: list[str], locale: str) -> tuple[str, int]:
    """The marked words, then the shorter prompts; where they do not fit, the longest are left out."""
    head = translated(METHOD, locale)
    marked = _marked(typed.text, CONTENT_LIMIT // 3)
    room = CONTENT_LIMIT - units(head) - units(marked) - 2
    blocks: list[str] = []
    for prompt in reversed(shorter):
        block = quoted_block(prompt, room)
        if block is None:
            break
        blocks.insert(0, block)
        room -= units(block) + 1
    return "\n".join((head, marked, *blocks)), len(blocks)


def _marked(text: str, limit: int) -> str:
    """The text with its weights as markdown, cut to ``limit`` UTF-16 units at a word."""
    said = ""
    for piece in _pieces(text):
        if units(said) + units(piece) > limit:
            return said.rstrip() + "…"
        said += piece
    return said


def _pieces(text: str) -> Iterator[str]:
    end = 0
    for word in essence.words(text):
        yield _plain(text[end : word.start])
        yield _worded(word)
        end = word.end
    yield _plain(text[end:])


def _worded(word: Word) -> str:
    said = escape(word.text)
    if word.weight >= STRONG:
        return f"**{said}**"
    return f"~~{said}~~" if word.weight <= WEAK else said


def _plain(between: str) -> str:
    """Escaped, with the white space that ``escape`` would trim."""
    said = escape(between)
    before = " " if between[:1].isspace() else ""
    behind = " " if said and between[-1:].isspace() else ""
    return before + said + behind
