"""Weights in prompts, as stable-diffusion-webui has them: what people write, resolved to words and numbers.

| written | means |
|---|---|
| ``(a)``, ``[a]``, ``(a:1.3)`` | attention to a times 1.1, over 1.1, times 1.3; nested ones multiply |
| ``[a:b:0.4]`` | a, then b from 40 % of the steps on; without a, ``[b:0.4]``; without b, ``[a::0.4]`` |
| ``[a:b:6]`` | b after six steps |
| ``[a|b]`` | a and b in turns, step by step |
| ``a AND b :0.5`` | both predicted, and their guidance added with weights |
| ``a BREAK b`` | b begins a chunk of its own |
| ``\\(``, ``\\[``, ``\\\\`` | the bare character |

Brackets without a partner, or nested deeper than :data:`DEEPEST`, are plain text.
Torch-free; times are linear in the length of a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import floor, isfinite

UP, DOWN = 1.1, 1 / 1.1
DEEPEST = 32
COMMA_WINDOW = 20
"""Tokens at the end of a chunk that move to the next one, so that it ends at a comma (webui's default)."""
_LEXEME = re.compile(r"\\[\\()\[\]]|[()\[\]:|]|[^\\()\[\]:|]+|\\")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")
_COMPOSED = re.compile(r"\bAND\b")
_SHARE = re.compile(r"(.*?)\s*:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*", re.DOTALL)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_ESCAPE = re.compile(r"\\([\\()\[\]])")
_CLOSES = {")": "(", "]": "["}


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words under one weight."""

    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens, as many as the encoder takes at once without its own, each with its weight."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Emphasis:
    inner: tuple[_Node, ...]
    weight: float
    written: tuple[str, str]
    """What stood before and after ``inner``."""


@dataclass(frozen=True, slots=True)
class _Edit:
    before: tuple[_Node, ...]
    after: tuple[_Node, ...]
    when: str


@dataclass(frozen=True, slots=True)
class _Turns:
    options: tuple[tuple[_Node, ...], ...]


_Node = str | _Emphasis | _Edit | _Turns


@dataclass(slots=True)
class _Frame:
    bracket: str
    parts: list[list[_Node]] = field(default_factory=lambda: [[]])
    """Split at the separators."""
    separators: list[str] = field(default_factory=list)

    def add(self, node: _Node) -> None:
        self.parts[-1].append(node)

    def plain(self) -> Iterator[_Node]:
        """All parts with their separators between them."""
        for index, part in enumerate(self.parts):
            if index:
                yield self.separators[index - 1]
            yield from part


@lru_cache(256)
def compositions(prompt: str) -> tuple[Fragment, ...]:
    """What stands between ``AND``, each with its weight; without ``AND`` the whole prompt with weight 1."""
    parts = _COMPOSED.split(prompt)
    return tuple(_weighted(part) for part in parts) if len(parts) > 1 else (Fragment(prompt, 1.0),)


def _weighted(part: str) -> Fragment:
    found = _SHARE.fullmatch(part)
    whole = found is not None and isfinite(float(found[2]))
    return Fragment(found[1].strip(), float(found[2])) if found and whole else Fragment(part.strip(), 1.0)


def timeline(text: str, steps: int, calls: int | None = None) -> tuple[str, ...]:
    """``text`` at each of ``calls`` calls of the model (one a step unless said), edits and turns resolved."""
    calls = calls or steps
    nodes = _parsed(text)
    if not any(map(_changes, nodes)):
        return (text,) * calls
    return tuple("".join(_resolved(nodes, call, steps, calls)) for call in range(calls))


def weighed(text: str) -> tuple[tuple[Fragment, ...], ...]:
    """The fragments of a resolved text, in a tuple for each stretch between ``BREAK``; none are empty."""
    stretches: list[list[Fragment]] = [[]]
    for node_text, weight in _leaves(_parsed(text), 1.0):
        for index, piece in enumerate(_BREAK.split(node_text)):
            if index:
                stretches.append([])
            _extend(stretches[-1], piece, weight)
    return tuple(
        tuple(Fragment(_ESCAPE.sub(r"\1", part.text), part.weight) for part in stretch)
        for stretch in stretches
    )


def chunked(
    stretches: Sequence[Sequence[Fragment]],
    tokenize: Callable[[str], Sequence[int]],
    size: int,
    comma: int | None = None,
) -> tuple[Chunk, ...]:
    """At least one chunk of at most ``size`` tokens; ``comma`` is the token of a comma."""
    return tuple(
        chunk
        for stretch in stretches
        for chunk in _cut(
            [(token, part.weight) for part in stretch for token in tokenize(part.text)], size, comma
        )
    )


def _cut(tokens: list[tuple[int, float]], size: int, comma: int | None) -> Iterator[Chunk]:
    start = 0
    while True:
        end = min(start + size, len(tokens))
        if end < len(tokens):
            window = range(end - 1, max(start, end - COMMA_WINDOW - 1), -1)
            end = next((place + 1 for place in window if tokens[place][0] == comma), end)
        piece = tokens[start:end]
        yield Chunk(tuple(token for token, _ in piece), tuple(weight for _, weight in piece))
        start = end
        if start >= len(tokens):
            return


@lru_cache(256)
def _parsed(text: str) -> tuple[_Node, ...]:
    stack = [_Frame("")]
    for match in _LEXEME.finditer(text):
        lexeme, frame = match[0], stack[-1]
        if lexeme in ("(", "[") and len(stack) <= DEEPEST:
            stack.append(_Frame(lexeme))
        elif lexeme in _CLOSES and frame.bracket == _CLOSES[lexeme]:
            stack.pop()
            for node in _closed(frame, lexeme):
                stack[-1].add(node)
        elif lexeme in (":", "|") and frame.bracket:
            frame.separators.append(lexeme)
            frame.parts.append([])
        else:
            frame.add(lexeme)
    while len(stack) > 1:
        unclosed = stack.pop()
        stack[-1].add(unclosed.bracket)
        stack[-1].parts[-1].extend(unclosed.plain())
    return tuple(stack[0].plain())


def _closed(frame: _Frame, closing: str) -> Iterator[_Node]:
    """The node of a whole bracket."""
    number = _number(frame.parts[-1]) if frame.separators[-1:] == [":"] else None
    if frame.bracket == "(":
        weight = float(number) if number else UP
        if not number:
            yield _Emphasis(tuple(frame.plain()), weight, ("(", ")"))
            return
        inner = _Frame("", frame.parts[:-1], frame.separators[:-1])
        yield _Emphasis(tuple(inner.plain()), weight, ("(", f":{number})"))
    elif "|" in frame.separators:
        yield _Turns(tuple(_alternatives(frame)))
    elif number and len(frame.separators) <= 2:
        before = frame.parts[0] if len(frame.separators) == 2 else []
        yield _Edit(tuple(before), tuple(frame.parts[-2]), number)
    else:
        yield _Emphasis(tuple(frame.plain()), DOWN, ("[", closing))


def _alternatives(frame: _Frame) -> Iterator[tuple[_Node, ...]]:
    current: list[_Node] = list(frame.parts[0])
    for separator, part in zip(frame.separators, frame.parts[1:], strict=True):
        if separator == "|":
            yield tuple(current)
            current = list(part)
        else:
            current += [separator, *part]
    yield tuple(current)


def _number(part: list[_Node]) -> str | None:
    text = "".join(node for node in part if isinstance(node, str))
    found = _NUMBER.fullmatch(text) if all(isinstance(node, str) for node in part) else None
    return found[1] if found and isfinite(float(found[1])) else None


def _changes(node: _Node) -> bool:
    if isinstance(node, _Emphasis):
        return any(map(_changes, node.inner))
    return not isinstance(node, str)


def _resolved(nodes: Sequence[_Node], call: int, steps: int, calls: int) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Emphasis):
            yield node.written[0]
            yield from _resolved(node.inner, call, steps, calls)
            yield node.written[1]
        elif isinstance(node, _Edit):
            chosen = node.after if call >= _moment(node.when, steps, calls) else node.before
            yield from _resolved(chosen, call, steps, calls)
        else:
            yield from _resolved(node.options[call % len(node.options)], call, steps, calls)


def _moment(when: str, steps: int, calls: int) -> int:
    """The call from which an edit holds: a share with a point in it, otherwise a number of steps."""
    share = float(when) if "." in when else int(when) / steps
    return floor(share * calls + 1e-9)


def _leaves(nodes: Sequence[_Node], weight: float) -> Iterator[tuple[str, float]]:
    """Raw texts with their weights; what is not resolved yet counts as at the first step."""
    for node in nodes:
        if isinstance(node, str):
            yield node, weight
        elif isinstance(node, _Emphasis):
            yield from _leaves(node.inner, weight * node.weight)
        elif isinstance(node, _Edit):
            yield from _leaves(node.before, weight)
        else:
            yield from _leaves(node.options[0], weight)


def _extend(stretch: list[Fragment], text: str, weight: float) -> None:
    """Append, as one fragment with what stands before it under the same weight."""
    if stretch and stretch[-1].weight == weight:
        text = stretch.pop().text + text
    if text:
        stretch.append(Fragment(text, weight))
