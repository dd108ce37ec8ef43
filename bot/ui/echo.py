"""A user's text inside our messages: it never pings, never becomes a link, never breaks out of the bold.

Facts: Discord's markdown takes a backslash before any ASCII punctuation; its link rule needs an unbroken
``://``; invite cards need only ``discord.gg/`` in the raw content, so that dot is escaped too.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

from bot.domain.prompt import REFERENCES, Prompt, render

CONTENT_LIMIT = 2000
"""Characters of a content; counted as UTF-16 units here, never fewer than what Discord counts."""
UPLOADED = "[picture]"
"""Stands for an uploaded picture, whose own name would mean nothing to a reader."""

_SPECIAL = frozenset("\\*_~`|[]<>#")
_MENTION = re.compile(r"@(?=everyone|here|[!&]?\d)", re.IGNORECASE)
_SCHEME = re.compile(r":(?=//)")
_INVITE = re.compile(r"(?<=discord)\.(?=gg\b|com\b)|(?<=discordapp)\.(?=com\b)", re.IGNORECASE)
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def units(text: str) -> int:
    """Length in UTF-16 units, lone surrogates counted as one."""
    return len(text) + sum(char > "\uffff" for char in text)


def printable(text: str) -> str:
    """One line without control codes, surrogates and direction overrides, which would reorder the message."""
    kept = (" " if char.isspace() else char for char in text if char not in _BIDI)
    clean = "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cs") else char for char in kept)
    return " ".join(clean.split())


def escape(text: str, limit: int = CONTENT_LIMIT) -> str:
    """``text`` as markdown that shows just it, cut with an ellipsis to ``limit`` UTF-16 units."""
    pieces = [*_pieces(printable(text))]
    if sum(map(units, pieces)) <= limit:
        return "".join(pieces)
    kept: list[str] = []
    room = limit - 1
    for piece in pieces:
        room -= units(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept) + "…"


def _pieces(text: str) -> list[str]:
    """The characters of ``text``, each with the escape it needs, so that a cut never splits a pair."""
    broken = {found.end() for found in _MENTION.finditer(text)}
    escaped = {found.start() for rule in (_SCHEME, _INVITE) for found in rule.finditer(text)}
    return [
        ("\u200b" if place in broken else "") + ("\\" if place in escaped or char in _SPECIAL else "") + char
        for place, char in enumerate(text)
    ]


def prompt_text(prompt: Prompt) -> str:
    """The prompt as one would type it, with uploaded pictures named for what they are."""
    lent = {name: tuple(map(_named, prompt.listed(name))) for name in REFERENCES if name in prompt.values}
    images = tuple(map(_named, prompt.images))
    return render(replace(prompt, images=images, values={**prompt.values, **lent}))


def _named(image: str) -> str:
    return UPLOADED if image.partition(":")[0] in ("library", "attachment") else image


def prompt_echo(prompt: Prompt, limit: int) -> str:
    """The prompt escaped to at most ``limit`` UTF-16 units; of a long one the text is cut, not the flags."""
    whole = escape(prompt_text(prompt), 1_000_000)
    if units(whole) <= limit:
        return whole or "…"
    flags = escape(prompt_text(Prompt("", (), prompt.values)), limit // 2)
    text = escape(prompt_text(replace(prompt, values={})), limit - units(flags) - 1)
    return f"{text} {flags}" if flags else text


def quoted_block(text: str, limit: int) -> str | None:
    """``text`` to copy from, in a code block it cannot leave; None when it takes more than ``limit``."""
    block = f"```\n{text.replace('`', chr(0x2BB))}\n```"
    return block if units(block) <= limit else None
