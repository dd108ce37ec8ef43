r"""Sets of alternatives: ``a {red, blue} bird --ar {3:2, 1:1}`` is four prompts.

Sets multiply and stand inside each other. ``\,`` is a comma inside an alternative, ``\{`` a bracket; braces
without a comma are plain text. Those of Chinese keyboards count as well: ``｛红，蓝、绿｝``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from bot.domain.sentence import Sentence, say
from bot.errors import PromptError

MOST = 40
"""Prompts that one order may become, as on Midjourney."""
DEEPEST = 8
"""Sets inside sets; more is a slip, and a way to exhaust the stack."""
_AFTER_FLAG = re.compile(r"(?:--|－－|[—–]{1,2})[A-Za-z][\w-]{0,20}[ =]*$")
_COMMA = re.compile(r"(?<!\\)[,，、]")
_OPENING, _CLOSING = "{｛", "}｝"


@dataclass(frozen=True, slots=True)
class _Set:
    """Alternatives, each a sequence of texts and sets."""

    options: tuple[tuple[str | _Set, ...], ...]


_Sequence = tuple[str | _Set, ...]


def expand(text: str, *, emphasis: bool = False, most: int = MOST) -> tuple[str, ...]:
    """The prompts that a text stands for, itself alone without sets, the leftmost set varying slowest.

    With ``emphasis`` braces in the text weigh words (NovelAI) and are sets only right behind a flag.
    PromptError when there are more than ``most``, or they stand too deep in each other.
    """
    pairs = _pairs(text)
    if _depth(pairs) > DEEPEST:
        raise PromptError(
            (say("Sets in `{{}}` may stand inside each other {most} deep; please use fewer.", most=DEEPEST),),
            text,
        )
    sequence = _Reader(text, pairs, emphasis).sequence(0, len(text))
    refuse_crowds(_count(sequence), text, most)
    return tuple(_written(sequence))


def refuse_crowds(count: int, text: str, most: int = MOST) -> None:
    """PromptError when an order stands for more jobs than may be asked for at once."""
    if count > most:
        raise PromptError((_too_many(count, most),), text)


def _too_many(count: int, most: int) -> Sentence:
    if count < 1_000_000:
        return say(
            "`{{a, b}}` and `--repeat` ask for {count} jobs; at most {most} may be ordered at once.",
            count=count,
            most=most,
        )
    return say("`{{a, b}}` and `--repeat` ask for more than {most} jobs; ask for {most} or fewer.", most=most)


def _pairs(text: str) -> dict[int, int]:
    """Places of opening braces and their partners; escaped and lone ones are none."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for place, char in enumerate(text):
        if char not in _OPENING + _CLOSING or text[place - 1 : place] == "\\":
            continue
        if char in _OPENING:
            opened.append(place)
        elif opened:
            pairs[opened.pop()] = place
    return pairs


def _depth(pairs: dict[int, int]) -> int:
    steps = sorted([(start, 1) for start in pairs] + [(end, -1) for end in pairs.values()])
    depth = deepest = 0
    for _, step in steps:
        depth += step
        deepest = max(deepest, depth)
    return deepest


class _Reader:
    """Text and the places of its braces, read into nested sets; linear in the text for each level."""

    def __init__(self, text: str, pairs: dict[int, int], emphasis: bool) -> None:
        self.text = text
        self.pairs = pairs
        self.emphasis = emphasis

    def sequence(self, start: int, end: int) -> _Sequence:
        """What stands from ``start`` to ``end``."""
        items: list[str | _Set] = []
        begin = place = start
        while place < end:
            if place in self.pairs and not self._weighs(place):
                close = self.pairs[place]
                items += [self.text[begin:place], *self._braces(place + 1, close)]
                begin = place = close + 1
            else:
                place += 1
        return (*items, self.text[begin:end])

    def _weighs(self, place: int) -> bool:
        return self.emphasis and not _AFTER_FLAG.search(self.text[max(0, place - 32) : place])

    def _braces(self, start: int, end: int) -> _Sequence:
        commas = list(self._commas(start, end))
        if not commas:
            return (self.text[start - 1], *self.sequence(start, end), self.text[end])
        edges = zip([start, *(comma + 1 for comma in commas)], [*commas, end], strict=True)
        return (_Set(tuple(self.sequence(*edge) for edge in edges)),)

    def _commas(self, start: int, end: int) -> Iterator[int]:
        place = start
        while place < end:
            if place in self.pairs:
                place = self.pairs[place]
            elif _COMMA.match(self.text, place):
                yield place
            place += 1


def _count(sequence: _Sequence) -> int:
    return math.prod(sum(map(_count, item.options)) for item in sequence if isinstance(item, _Set))


def _written(sequence: _Sequence) -> Iterator[str]:
    choices = [[item] if isinstance(item, str) else list(_options(item)) for item in sequence]
    return ("".join(chosen) for chosen in product(*choices))


def _options(item: _Set) -> Iterator[str]:
    for option in item.options:
        for text in _written(option):
            yield re.sub(r"\\([,，、])", r"\1", text).strip()
