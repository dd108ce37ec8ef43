"""Autocomplete of prompts: what was understood so far, and flags that could follow.

Discord takes at most 25 choices of 100 characters each; a longer prompt simply gets no suggestions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from discord import app_commands

from bot.config import Settings
from bot.domain.flags import FLAGS, Flag, Kind
from bot.domain.preferences import Preferences
from bot.domain.prompt import Prompt, parse, render
from bot.domain.sentence import Sentence, say
from bot.errors import PromptError
from bot.services import specs
from bot.services.explain import explain
from bot.ui.explainer import price as cost
from bot.ui.locales import translated
from engine.api import ModelInfo

_FLAG = re.compile(r"(?:^|\s)(?:--|[—–])")
LIMIT = 100
MOST = 25


def choices(
    current: str,
    settings: Settings,
    models: Mapping[str, ModelInfo] = MappingProxyType({}),
    wishes: Preferences = specs.NO_WISHES,
    locale: str = "en-US",
) -> list[app_commands.Choice[str]]:
    """The typed prompt as understood, or its first fault, then the flags that fit what is being typed.

    With ``models`` also the price, and what the chosen one leaves aside.

    Nothing before the first flag is begun: with offers on the screen Enter would choose one, not send.
    """
    current = current.lstrip()
    if not _FLAG.search(current):
        return []
    begun = current.rpartition(" ")[2]
    head = current if current.endswith(" ") else current[: len(current) - len(begun)]
    if begun.startswith("--") and not current.endswith(" "):
        return _fitting(_flags_like(head, begun[2:], locale))
    try:
        typed = _understood(current, settings, models, wishes, locale)
    except PromptError as error:
        return _fitting([(f"⚠ {translated(error.faults[0], locale)}".replace("`", ""), current)])
    rest = _flags_like(current.rstrip() + " ", "", locale)
    return _fitting([*((shown, current) for shown in typed), *rest])


def _understood(
    current: str, settings: Settings, models: Mapping[str, ModelInfo], wishes: Preferences, locale: str
) -> list[str]:
    """What was understood, the price, what is left aside: a line each."""
    if not models:
        return [summary(parse(current, highs=specs.highs(settings)))]
    prompts = specs.read(current, settings, models, wishes=wishes)
    prompt = prompts[0]
    model = specs.model_of(prompt, models, settings.engine.default_model, settings)
    found = explain(prompt, model, settings)
    price = say(
        "Price: {price} by {model}, jobs: {count}", price=cost(found), model=model.name, count=len(prompts)
    )
    lines = [summary(prompt), translated(price, locale)]
    for note in found.ignored:
        lines.append(f"✂ {note.typed} {translated(note.says, locale)}".replace("`", ""))
    return lines


def summary(prompt: Prompt) -> str:
    """What the bot understood: text, then each flag."""
    flags = render(Prompt("", (), prompt.values)).removeprefix("--").split(" --")
    return " · ".join(part for part in (prompt.text, *flags) if part) or render(prompt)


def _flags_like(head: str, start: str, locale: str) -> list[tuple[str, str]]:
    """(shown, prompt so far with the flag) for every spelling that begins as typed and is not there yet."""
    return [
        (
            f"--{spelling}{_hint(flag)}  {translated(Sentence(flag.help), locale)}",
            f"{head}--{spelling}{_hint(flag)}",
        )
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
