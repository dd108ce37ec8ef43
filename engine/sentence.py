"""Sentences that can be said in another language: English text that remembers its key and its fields.

A :class:`Sentence` is an ordinary string, so whoever only wants English needs to know nothing of it. The
key is the key of the tables of messages, as in GNU gettext; the tables are the bot's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Self


class Sentence(str):
    """``key.format(**fields)``, and how it came about; fields may be sentences themselves."""

    __slots__ = ("fields", "key")
    key: str
    fields: Mapping[str, object]

    def __new__(cls, key: str, /, **fields: object) -> Self:
        made = super().__new__(cls, key.format(**fields) if fields else key)
        made.key = key
        made.fields = MappingProxyType(fields)
        return made

    def __reduce__(self) -> tuple[Callable[..., Sentence], tuple[str, dict[str, object]]]:
        return (_made, (self.key, dict(self.fields)))


def _made(key: str, fields: Mapping[str, object]) -> Sentence:
    return Sentence(key, **fields)


def say(key: str, /, **fields: object) -> Sentence:
    """``key`` must be a literal: a test gathers them all and looks for each in every table."""
    return Sentence(key, **fields)


def join(parts: Iterable[str], between: str = "\n") -> Sentence:
    """Several sentences as one; each is said in the other language by itself."""
    fields = {f"part{number}": part for number, part in enumerate(parts)}
    return Sentence(between.join(f"{{{name}}}" for name in fields), **fields)


def sentence_of(error: Exception) -> str:
    """What an error says, still to be said in another language: ``str(error)`` is English for good."""
    return error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
