"""Sentences as columns keep them. What they are stands below: the engine refuses in them too."""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.sentence import Sentence as Sentence
from engine.sentence import join as join
from engine.sentence import say as say
from engine.sentence import sentence_of as sentence_of

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
