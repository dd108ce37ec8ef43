"""What one user has settled once for all prompts: read when a job is admitted, overridden by flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from bot.domain.flags import FlagValue
from bot.domain.prompt import Prompt

MOST_OPTIONS = 20
"""Options of one's own, as on Midjourney."""
STYLIZE_LEVELS: Mapping[str, int] = MappingProxyType({"low": 50, "med": 100, "high": 250, "very_high": 750})
"""The four levels of /settings as values of --stylize."""


class Variability(StrEnum):
    """How far V moves from its picture."""

    STRONG = "strong"
    SUBTLE = "subtle"


@dataclass(frozen=True, slots=True)
class Preferences:
    """One user's settings; the defaults are those of somebody who never set any."""

    model: str = ""
    """Empty leaves it to the server."""
    stylize: int | None = None
    speed: str = ""
    """``fast``, ``relax`` or ``turbo``; empty is the flag's default."""
    visibility: str = ""
    """``public`` or ``stealth``; empty is the flag's default."""
    variation: Variability = Variability.STRONG
    remix: bool = False
    auto_dm: bool = False
    """Whether finished pictures are sent by direct message too."""
    suffix: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    """What ``--name`` stands for, by name."""
    locale: str = ""
    """As Discord last said it; decides the language of what is told later."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def modes(self) -> Preferences:
        """Only what does not change a picture: who waits, and who sees it."""
        return Preferences(speed=self.speed, visibility=self.visibility)

    def fill(self, prompt: Prompt) -> Prompt:
        """The prompt with these defaults where it says nothing itself."""
        own = {name: value for name, value in self._flags().items() if name not in prompt.values}
        return prompt.with_values(**own) if own else prompt

    def lend(self, prompt: Prompt, pressed: Prompt, *, own: bool) -> Prompt:
        """Another job's prompt for a job of this user: what it shows stays, who waits and pays is theirs.

        ``pressed`` is that job's prompt: where this one differs, it was typed so, which goes before settings.
        ``own``: the job is theirs too. Somebody else's speed is not paid for.
        """
        modes: dict[str, FlagValue | None] = {
            "speed": self.speed or (prompt.values.get("speed") if own else None),
            "visibility": self.visibility or prompt.values.get("visibility"),
        }
        typed = {name: prompt.values[name] for name in modes.keys() & prompt.values.keys()}
        modes |= {name: value for name, value in typed.items() if value != pressed.values.get(name)}
        return prompt.with_values(**modes)

    def _flags(self) -> dict[str, FlagValue]:
        wanted: dict[str, FlagValue | None] = {
            "model": self.model or None,
            "stylize": self.stylize,
            "speed": self.speed or None,
            "visibility": self.visibility or None,
        }
        return {name: value for name, value in wanted.items() if value is not None}
