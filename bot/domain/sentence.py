"""Sentences that can be said in another language: English text that remembers its key and its fields.

A :class:`Sentence` is an ordinary string, so whoever only wants English needs to know nothing of it. The
key is the key of the tables of messages, as in GNU gettext.
"""

from __future__ import annotations

import json
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


MARK = '{"say": '
"""How a stored sentence begins; no sentence of ours or of the engine's does."""


def dumped(text: str) -> str:
    """A sentence as a column keeps it, so that it can still be said in another language; plain text as it is.

    Fields keep their numbers; anything that JSON does not know is kept as text.
    """
    return json.dumps(_packed(text), ensure_ascii=False, default=str) if isinstance(text, Sentence) else text


def loaded(stored: str) -> str:
    """The inverse of ``dumped``; what cannot be read is text."""
    if not stored.startswith(MARK):
        return stored
    try:
        return _unpacked(json.loads(stored))
    except (ValueError, KeyError, TypeError, AttributeError):
        return stored


def _packed(text: object) -> object:
    if not isinstance(text, Sentence):
        return text
    return {"say": text.key, "with": {name: _packed(value) for name, value in text.fields.items()}}


def _unpacked(kept: Mapping[str, object]) -> Sentence:
    fields = kept["with"]
    if not isinstance(fields, dict):
        raise TypeError("fields by name")
    inner = {name: _unpacked(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return Sentence(str(kept["say"]), **inner)
