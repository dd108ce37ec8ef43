"""What was understood of a prompt, said to whoever asks: before anything is painted, and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import discord

from bot.domain import policy
from bot.domain.prompt import quoted
from bot.domain.sentence import Sentence, say
from bot.services import specs
from bot.services.explain import Explanation, Note, explain
from bot.ui.carry import pictures_of, text_of
from bot.ui.echo import CONTENT_LIMIT, escape, units
from bot.ui.locales import translated
from bot.ui.reading import read_all

if TYPE_CHECKING:
    from bot.ui.client import TesseraClient


async def read(interaction: discord.Interaction[TesseraClient]) -> Explanation:
    """Of the prompt that a message carries, by the model that would paint it."""
    client, message = interaction.client, interaction.message
    assert message is not None
    prompt = (await read_all(interaction, await text_of(message), len(pictures_of(message))))[0]
    models = client.services.engine.models()
    model = specs.model_of(prompt, models, client.settings.engine.default_model, client.settings)
    return explain(prompt, model, client.settings)


def text(found: Explanation, locale: str) -> str:
    """One message; the longest lists are cut."""
    sections = [
        _notes(say("**What I understood**"), found.understood, locale),
        _notes(say("**What {model} leaves aside**", model=found.model), found.ignored, locale),
        [translated(line, locale) for line in _numbers(found)],
    ]
    lines = [line for section in sections for line in section]
    said = "\n".join(lines)
    room = CONTENT_LIMIT - 60
    if units(said) > room:
        said = "\n".join(_fitting(lines, room)) + "\n…"
    return said


def _fitting(lines: Iterable[str], room: int) -> Iterator[str]:
    for line in lines:
        room -= units(line) + 1
        if room < 0:
            return
        yield line


def _notes(head: Sentence, notes: tuple[Note, ...], locale: str) -> list[str]:
    if not notes:
        return []
    lines = [translated(head, locale)]
    for note in notes:
        said = translated(note.says, locale) if isinstance(note.says, Sentence) else _in(note, locale)
        typed = f"{quoted(note.typed)}: " if note.typed else ""
        lines.append(f"- {typed}{said}")
    return lines


def _in(note: Note, locale: str) -> str:
    return note.zh if note.zh and locale.startswith("zh") else note.says


def _numbers(found: Explanation) -> Iterator[Sentence]:
    yield say("**The model is told** {text}", text=escape(found.text, 500) or "-")
    if found.negative:
        yield say("**and to leave out** {text}", text=escape(found.negative, 300))
    yield say(
        "{images} pictures of {width}x{height} pixels by {model}: {steps} steps of {sampler}, guidance "
        "{guidance:g}, seed {seed}",
        images=found.images,
        width=found.width,
        height=found.height,
        model=found.model,
        steps=found.steps,
        sampler=found.sampler,
        guidance=found.guidance,
        seed=say("by chance") if found.seed is None else found.seed,
    )
    yield say("**Price** {price}", price=price(found))


def price(found: Explanation) -> Sentence:
    """Credits of one such job."""
    if found.credits is None:
        return say("what it takes of the GPU, in seconds")
    if found.credits <= policy.EPSILON:
        return say("nothing")
    return policy.amount(found.credits, found.unit)
