"""Weights inside a prompt's text: ``a::2 b::-0.5``, ``(a:1.2)``, ``{a}`` of NovelAI, ``<lora:name:0.8>``.

A prompt keeps its text as it was typed; what a model is given is worked out here. Nothing of it fails:
brackets without a partner and weights that are no numbers are plain text.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_MARK = re.compile(
    r"(?:::|：：)(?P<weight>[+\-−－]?(?:\d{1,9}(?:[.．]\d{0,9})?|[.．]\d{1,9})(?=[\s,，.。;；]|$))?"
)
_LORA = re.compile(
    r"<lora:(?P<name>[^\s:<>]{1,64})(?::(?P<weight>-?\d{1,3}(?:\.\d{1,4})?))?(?::[^<>]{0,64})?>"
)
_ESCAPED = re.compile(r"\\([{}])")
_EDIT = re.compile(r"\[([^\[\]:]*):([^\[\]:]*):\s*\d*\.?\d+\s*\]")
_TURNS = re.compile(r"\[([^\[\]|]*)\|[^\[\]]*\]")
_WEIGHT = re.compile(r":\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*$")
_BRACKETS = re.compile(r"(?::[ +-]?[\d.]{1,9})?[()\[\]{}]")
_JOINT = re.compile(r"\s*\b(?:BREAK|AND)\b\s*")
NOVELAI_STEP = 1.05
"""What one ``{}`` multiplies and one ``[]`` divides by (docs.novelai.net, "Strengthening & Weakening")."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a multi-prompt; ``weight`` as it was typed, 1 without."""

    text: str
    weight: float


def parts(text: str) -> tuple[Part, ...]:
    """The parts of ``a::2 b::-0.5``: a weight covers the text since the one before; none is empty."""
    found, begin = [], 0
    for mark in _MARK.finditer(text):
        found.append(Part(_between(text, begin, mark.start()), _number(mark["weight"])))
        begin = mark.end()
    found.append(Part(_between(text, begin, len(text)), 1.0))
    return tuple(part for part in found if _says(part.text))


def _between(text: str, begin: int, end: int) -> str:
    """The text between two weights; a comma behind a weight belongs to neither side."""
    return text[begin:end].strip().lstrip(",，.。;；" if begin else "").strip()


def weigh(text: str) -> float:
    """What the weights of a multi-prompt add up to; it must be positive."""
    return math.fsum(part.weight for part in parts(text))


def _number(typed: str | None) -> float:
    if not typed:
        return 1.0
    return float(unicodedata.normalize("NFKC", typed).replace("−", "-"))


def _says(text: str) -> bool:
    return any(unicodedata.category(char)[0] not in "ZCMP" for char in text)


def positive(text: str, *, weighted: bool, frame: Callable[[str], str] = str) -> str:
    """What to paint, as the model takes it.

    Several parts become ``a :0.67 AND b :0.33`` for a model that understands weights, shares of 1 in all (Liu
    et al. 2022, "Compositional Visual Generation", arXiv:2206.01714); for others a list, heaviest first.
    ``frame`` puts a style's words around each.
    """
    wanted = [part for part in parts(text) if part.weight > 0]
    if len(wanted) < 2:
        return frame(wanted[0].text if wanted else text)
    if not weighted:
        return frame(", ".join(part.text for part in sorted(wanted, key=lambda part: -part.weight)))
    total = math.fsum(part.weight for part in wanted)
    return " AND ".join(f"{frame(part.text)} :{part.weight / total:.4g}" for part in wanted)


def negative(text: str, *, weighted: bool) -> tuple[str, ...]:
    """Parts of negative weight, for the negative prompt; with their share where the model understands it."""
    unwanted = [part for part in parts(text) if part.weight < 0]
    if not weighted:
        return tuple(part.text for part in unwanted)
    return tuple(
        part.text if part.weight == -0.5 else f"({part.text}:{min(-2 * part.weight, 2):.4g})"
        for part in unwanted
    )


def loras(text: str) -> tuple[str, tuple[tuple[str, float], ...]]:
    """The text without ``<lora:name:weight>``, and those; of one named twice the last weight counts."""
    named = {found["name"]: float(found["weight"] or 1) for found in _LORA.finditer(text)}
    return (" ".join(_LORA.sub(" ", text).split()), tuple(named.items())) if named else (text, ())


def from_novelai(text: str) -> str:
    """``{a}`` and ``[a]`` as ``(a:1.05)`` and ``(a:0.9524)``; round brackets are plain text there."""
    weight = {"{": NOVELAI_STEP, "[": 1 / NOVELAI_STEP}
    pairs = _pairs(text, {"{": "}", "[": "]"})
    closes = {end: start for start, end in pairs.items()}
    written = []
    for place, char in enumerate(text):
        if place in pairs:
            written.append("(")
        elif place in closes:
            written.append(f":{weight[text[closes[place]]]:.4g})")
        else:
            written.append(f"\\{char}" if char in "()" and text[place - 1 : place] != "\\" else char)
    return "".join(written)


def plain(text: str) -> str:
    """The text without weights, for models that would read ``(a:1.2)`` letter by letter."""
    text = _EDIT.sub(lambda found: found[2] or found[1], " ".join(text.split()))
    text = _TURNS.sub(r"\1", text)
    opened: list[int] = []
    dropped: list[tuple[int, int]] = []
    for place, char in enumerate(text):
        if text[place - 1 : place] == "\\":
            continue
        if char in "([":
            opened.append(place)
        elif char in ")]" and opened:
            start = opened.pop()
            dropped.append((start, start + 1))
            number = _WEIGHT.search(text, max(start + 1, place - 12), place) if char == ")" else None
            dropped.append((number.start() if number else place, place + 1))
    kept, begin = [], 0
    for start, end in sorted(dropped):
        kept.append(text[begin:start])
        begin = end
    bare = "".join([*kept, text[begin:]])
    return " ".join(re.sub(r"\\([()\[\]])", r"\1", _JOINT.sub(", ", bare)).split()).strip(", ")


def bare(text: str) -> str:
    """The words alone, whatever dialect weighs them."""
    return _BRACKETS.sub("", text)


def has_weights(text: str) -> bool:
    """Whether a model without weights would be given less than was typed."""
    return len([part for part in parts(text) if part.weight > 0]) > 1 or plain(text) != " ".join(text.split())


def unescaped(text: str) -> str:
    r"""``\{`` and ``\}`` as the brackets they stand for."""
    return _ESCAPED.sub(r"\1", text)


def _pairs(text: str, kinds: dict[str, str]) -> dict[int, int]:
    """Places of opening brackets and of their partners; escaped and lone ones are none."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for place, char in enumerate(text):
        if text[place - 1 : place] == "\\":
            continue
        if char in kinds:
            opened.append(place)
        elif opened and char == kinds[text[opened[-1]]]:
            pairs[opened.pop()] = place
    return pairs
