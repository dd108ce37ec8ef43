"""Autocomplete of prompts: what was understood so far, and flags that could follow.

Discord takes at most 25 choices of 100 characters each; a longer prompt simply gets no suggestions.
"""

from __future__ import annotations

import re

from discord import app_commands

from bot.config import Settings
from bot.domain.flags import FLAGS, Flag, Kind
from bot.domain.prompt import Prompt, parse, render
from bot.errors import PromptError

_FLAG = re.compile(r"(?:^|\s)(?:--|[—–])")
LIMIT = 100
MOST = 25


def choices(current: str, settings: Settings) -> list[app_commands.Choice[str]]:
    """The typed prompt as understood, or its first fault, then the flags that fit what is being typed.

    Nothing before the first flag is begun: with offers on the screen Enter would choose one, not send.
    """
    current = current.lstrip()
    if not _FLAG.search(current):
        return []
    begun = current.rpartition(" ")[2]
    head = current if current.endswith(" ") else current[: len(current) - len(begun)]
    if begun.startswith("--") and not current.endswith(" "):
        return _fitting(_flags_like(head, begun[2:]))
    typed = _understood(current, settings)
    rest = _flags_like(current.rstrip() + " ", "") if typed is None or not typed[0].startswith("⚠") else []
    return _fitting(([typed] if typed else []) + rest)


def _understood(current: str, settings: Settings) -> tuple[str, str] | None:
    limits = settings.limits
    try:
        prompt = parse(current, highs={"n": limits.max_images, "steps": limits.max_steps})
    except PromptError as error:
        return (f"⚠ {error.faults[0]}".replace("`", ""), current)
    return (summary(prompt), current)


def summary(prompt: Prompt) -> str:
    """What the bot understood: text, then each flag."""
    flags = render(Prompt("", (), prompt.values)).removeprefix("--").split(" --")
    return " · ".join(part for part in (prompt.text, *flags) if part) or render(prompt)


def _flags_like(head: str, start: str) -> list[tuple[str, str]]:
    """(shown, prompt so far with the flag) for every spelling that begins as typed and is not there yet."""
    return [
        (f"--{spelling}{_hint(flag)}  {flag.help}", f"{head}--{spelling}{_hint(flag)}")
        for flag in FLAGS
        for spelling in (flag.spellings if flag.kind is Kind.MODE else flag.spellings[:1])
        if spelling.startswith(start) and f"--{spelling}" not in head
    ]


def _hint(flag: Flag) -> str:
    return f" {flag.example}" if flag.example else ""


def _fitting(offers: list[tuple[str, str]]) -> list[app_commands.Choice[str]]:
    """Choices whose value fits; a value cut short would lose what was typed."""
    return [
        app_commands.Choice(name=shown if len(shown) <= LIMIT else shown[: LIMIT - 1] + "…", value=value)
        for shown, value in offers
        if len(value) <= LIMIT
    ][:MOST]
