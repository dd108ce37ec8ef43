"""What a button carries: (action, job, picture), as the string Discord hands back on a click."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 100
"""Discord's limit for a custom id, in characters."""
PREFIX = "tessera"
NO_JOB = "0" * 32
"""In place of a job: the button is about the prompt that its message carries."""
_ACTION = re.compile(r"[a-z][a-z_]{0,31}")
_REST = r":(?P<job>[0-9a-f]{32})(?::(?P<index>[0-9]{1,2}))?"


@dataclass(frozen=True, slots=True)
class CustomId:
    """``index`` is the zero-based picture of the job, None for what concerns the whole job (re-roll)."""

    action: str
    job_id: str
    index: int | None = None


def template(action: str) -> re.Pattern[str]:
    """The pattern of one action's ids, for a discord.py DynamicItem; no id fits two actions' patterns."""
    if not _ACTION.fullmatch(action):
        raise ValueError(f"{action!r} is no action: lowercase letters and underscores only")
    return re.compile(rf"{PREFIX}:(?P<action>{action}){_REST}")


_ANY = re.compile(rf"{PREFIX}:(?P<action>{_ACTION.pattern}){_REST}")


def encode(custom_id: CustomId) -> str:
    """The string for Discord, at most 100 characters; ValueError when a part does not fit the format."""
    index = "" if custom_id.index is None else f":{custom_id.index}"
    text = f"{PREFIX}:{custom_id.action}:{custom_id.job_id}{index}"
    if len(text) > MAX_LENGTH or decode(text) != custom_id:
        raise ValueError(f"no button can carry {custom_id}")
    return text


def decode(text: str) -> CustomId:
    """The parts of a custom id; ValueError when it is not one of ours. The job need not exist."""
    found = _ANY.fullmatch(text)
    if not found:
        raise ValueError("not a button of this bot")
    return from_match(found)


def from_match(found: re.Match[str]) -> CustomId:
    """The parts of an id that fitted a ``template``."""
    index = found["index"]
    return CustomId(found["action"], found["job"], None if index is None else int(index))
