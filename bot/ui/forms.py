"""Windows that ask for a prompt before a button's job is made.

What a window is for stands in its custom id, so one that is sent off after a restart is still understood. The
id has a part by chance: discord.py forgets a window by its id as soon as one with that id was sent off.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot.domain.custom_id import CustomId, decode, encode
from bot.domain.job import ENLARGING, PAINTS_FROM, Action
from bot.domain.sentence import Sentence, say
from bot.errors import UserError
from bot.ui.locales import translated

PROMPT, REGION = "prompt", "region"
"""Custom ids of the fields."""
MOST = 4000
"""Characters that Discord takes in a field."""
LIFE_S = 3600.0
"""How long discord.py remembers a window that is never sent off."""
_RUN = secrets.token_hex(4)
"""Stands in the ids of windows that only the process knows which opened them."""
OPENS = PAINTS_FROM - ENLARGING - {Action.MAKE_SQUARE} | {Action.REROLL}
"""What may be made with another prompt; anything else would be a prompt of one's own for free."""
_PASSING = re.compile(r"window/(?P<run>[0-9a-f]{8})/(?P<until>[0-9]{1,12})/[0-9a-f]{8}")
_OPENED = re.compile(r"form/(?P<pressed>[a-z0-9:_]{1,64})/(?P<action>[a-z_]{1,16})/(?P<cells>[0-9]{0,9})/\w+")


@dataclass(frozen=True, slots=True)
class Opening:
    """Which button opened a window, and what is to be made of what is typed."""

    pressed: CustomId
    action: Action
    cells: tuple[int, ...] = ()

    def encode(self) -> str:
        """Another one every time."""
        cells = "".join(map(str, self.cells))
        return f"form/{encode(self.pressed)}/{self.action}/{cells}/{secrets.token_hex(4)}"


def opening(custom_id: str) -> Opening | None:
    """The inverse of ``encode``; None for windows of others, and for buttons that open none."""
    found = _OPENED.fullmatch(custom_id)
    if found is None:
        return None
    try:
        cells = tuple(sorted({int(digit) for digit in found["cells"] if digit != "9"}))
        what = Opening(decode(found["pressed"]), Action(found["action"]), cells)
    except ValueError:
        return None
    # An id may be forged.
    return what if what.action in OPENS else None


def passing_id() -> str:
    """Of a window that discord.py keeps for us; another one every time."""
    return f"window/{_RUN}/{time.time() + LIFE_S:.0f}/{secrets.token_hex(4)}"


def is_kept(custom_id: str) -> bool:
    """Whether discord.py still has the window of this id: this process opened it, not too long ago."""
    found = _PASSING.fullmatch(custom_id)
    return found is not None and found["run"] == _RUN and time.time() < int(found["until"])


def fitting(prompt: str) -> str:
    """The prompt itself; UserError where a window would show only a part, which is all that came back."""
    if len(prompt) > MOST:
        raise UserError(
            say(
                "This prompt is too long for a window, which holds {most} characters; use /imagine to change "
                "it.",
                most=MOST,
            )
        )
    return prompt


class Form(ui.Modal):
    """A prompt to change, and the name of a region where one is asked for."""

    def __init__(
        self, what: Opening, title: Sentence, prompt: str, locale: str, *, names_region: bool = False
    ) -> None:
        super().__init__(title=translated(title, locale)[:45], custom_id=what.encode(), timeout=LIFE_S)
        if names_region:
            self.add_item(
                ui.TextInput(
                    label=translated(say("What to repaint, for example: the sky"), locale)[:45],
                    custom_id=REGION,
                    max_length=200,
                )
            )
        self.add_item(
            ui.TextInput(
                label=translated(say("Prompt"), locale),
                custom_id=PROMPT,
                style=discord.TextStyle.paragraph,
                default=prompt,
                max_length=MOST,
                required=False,
            )
        )


def typed(interaction: discord.Interaction[Any]) -> Mapping[str, str]:
    """What was typed into a window that is sent off, by field."""
    data: Any = interaction.data or {}
    return dict(_values(data.get("components", ())))


def _values(components: Any) -> Iterator[tuple[str, str]]:
    """Discord nests a field in a row, or in a label."""
    for component in components:
        if "value" in component:
            yield str(component.get("custom_id")), str(component["value"])
        inner = component.get("components") or [component[key] for key in ("component",) if key in component]
        yield from _values(inner)
