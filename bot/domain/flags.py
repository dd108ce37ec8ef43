"""The table of prompt flags: adding a flag to the language is adding a row here.

Parser, renderer, help texts, autocomplete and ``docs/prompts.md`` all read this table and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

FlagValue = bool | int | float | str | tuple[int, int] | tuple[str, ...]


class Kind(StrEnum):
    """How a flag's value is read, written and described."""

    SWITCH = "switch"
    """No value: ``--tile``."""
    MODE = "mode"
    """Every choice is a switch of its own: ``--fast`` and ``--relax`` set ``speed``."""
    INTEGER = "integer"
    NUMBER = "number"
    RATIO = "ratio"
    """``W:H``, reduced; ``low`` and ``high`` bound W / H."""
    NAME = "name"
    WORDS = "words"
    """A list with commas that reaches to the next flag."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the table. ``default`` is what leaving the flag out means; None leaves it to the model."""

    name: str
    kind: Kind
    help: str
    aliases: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    choices: tuple[FlagValue, ...] = ()
    default: FlagValue | None = None
    example: str = ""
    """A value that is always accepted; empty for switches."""
    needs: str = ""
    """The field of ``engine.api.ModelInfo`` that must be true for a model to honour the flag."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every word that may follow ``--``, the canonical one first."""
        if self.kind is Kind.MODE:
            return tuple(str(choice) for choice in self.choices)
        return (self.name, *self.aliases)


FLAGS: tuple[Flag, ...] = (
    Flag(
        "ar",
        Kind.RATIO,
        "Shape of the pictures, width to height.",
        low=0.25,
        high=4,
        default=(1, 1),
        example="3:2",
    ),
    Flag(
        "seed",
        Kind.INTEGER,
        "Start from this noise: the same seed and prompt give the same pictures. Random when left out.",
        low=0,
        high=2**32 - 1,
        example="7",
    ),
    Flag(
        "no",
        Kind.WORDS,
        "What should not be in the picture; a list with commas.",
        default=(),
        example="fog, people",
        needs="negative_prompt",
    ),
    Flag(
        "chaos",
        Kind.INTEGER,
        "How far the pictures of a grid may differ from each other.",
        aliases=("c",),
        low=0,
        high=100,
        default=0,
        example="25",
    ),
    Flag(
        "stylize",
        Kind.INTEGER,
        "How strongly the picture is pressed into the prompt's style.",
        aliases=("s",),
        low=0,
        high=1000,
        default=100,
        example="250",
    ),
    Flag(
        "quality",
        Kind.NUMBER,
        "Share of the model's steps to spend: less is faster, more is finer.",
        aliases=("q",),
        choices=(0.25, 0.5, 1.0, 2.0),
        default=1.0,
        example="0.5",
    ),
    Flag(
        "steps",
        Kind.INTEGER,
        "Number of denoising steps, in place of the model's own.",
        low=1,
        high=150,
        example="20",
    ),
    Flag(
        "tile",
        Kind.SWITCH,
        "Make pictures whose edges meet, for patterns.",
        default=False,
    ),
    Flag(
        "stop",
        Kind.INTEGER,
        "Stop after this percentage of the steps: softer, unfinished pictures.",
        low=10,
        high=100,
        default=100,
        example="80",
    ),
    Flag(
        "iw",
        Kind.NUMBER,
        "Weight of the image prompt: 0 follows the text alone, 3 stays closest to the image.",
        low=0,
        high=3,
        default=1.0,
        example="1.5",
        needs="image_to_image",
    ),
    Flag(
        "model",
        Kind.NAME,
        "The model that paints; the server's default when left out.",
        aliases=("v",),
        example="sketch",
    ),
    Flag(
        "n",
        Kind.INTEGER,
        "Number of pictures in the grid.",
        low=1,
        high=9,
        default=4,
        example="4",
    ),
    Flag(
        "speed",
        Kind.MODE,
        "Fast jobs go first; relaxed jobs wait behind them and cost less.",
        choices=("fast", "relax"),
        default="fast",
    ),
)

BY_NAME: dict[str, Flag] = {flag.name: flag for flag in FLAGS}
BY_SPELLING: dict[str, Flag] = {spelling: flag for flag in FLAGS for spelling in flag.spellings}

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_RATIO = re.compile(r"0*(\d{1,5})[:x/×∶]0*(\d{1,5})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}")
_TRAILING = ",;.，；。、"


def allowed(flag: Flag, high: float | None = None) -> str:
    """What values the flag takes, as the end of the sentence "must be ..."; ``high`` narrows the table's."""
    top = flag.high if high is None else min(high, flag.high)
    if flag.choices:
        return "one of " + ", ".join(write_value(flag, choice) for choice in flag.choices)
    if flag.kind is Kind.RATIO:
        low, most = (Fraction(edge) for edge in (flag.low, flag.high))
        shapes = [f"{edge.numerator}:{edge.denominator}" for edge in (low, most)]
        return f"two whole numbers like `{flag.example}`, from {shapes[0]} to {shapes[1]}"
    if flag.kind is Kind.NAME:
        return f"a model's name, like `{flag.example}`"
    if flag.kind is Kind.WORDS:
        return f"a list of words with commas, like `{flag.example}`"
    noun = "a whole number" if flag.kind is Kind.INTEGER else "a number"
    return f"{noun} from {flag.low:g} to {int(top) if top == int(top) else top}"


def read_value(flag: Flag, text: str, high: float | None = None) -> FlagValue | None:
    """The value ``text`` stands for, or None when the flag does not take it. Full-width forms are fine."""
    plain = unicodedata.normalize("NFKC", text).rstrip(_TRAILING)
    match flag.kind:
        case Kind.INTEGER | Kind.NUMBER:
            return _read_number(flag, plain, high)
        case Kind.RATIO:
            return _read_ratio(flag, plain.lower())
        case Kind.NAME:
            return plain if _NAME.fullmatch(plain) else None
        case Kind.WORDS:
            return read_words(text)
        case Kind.SWITCH | Kind.MODE:
            raise ValueError(f"--{flag.name} takes no value")


def _read_number(flag: Flag, plain: str, high: float | None) -> FlagValue | None:
    if not _NUMBER.fullmatch(plain):
        return None
    value = round(float(plain), 4)
    if flag.choices:
        return value if value in flag.choices else None
    top = flag.high if high is None else min(high, flag.high)
    if not flag.low <= value <= top:
        return None
    if flag.kind is Kind.NUMBER:
        return value + 0.0  # -0.0 would be written as "-0"
    return int(value) if value.is_integer() else None


def _read_ratio(flag: Flag, plain: str) -> FlagValue | None:
    found = _RATIO.fullmatch(plain)
    if not found or "0" in found.groups():
        return None
    ratio = Fraction(int(found[1]), int(found[2]))
    return (ratio.numerator, ratio.denominator) if flag.low <= ratio <= flag.high else None


def read_words(text: str) -> tuple[str, ...] | None:
    """The entries of a list with commas (Chinese ones too), each once; None when there are none."""
    entries = (" ".join(entry.split()) for entry in re.split(r"[,，、]", text))
    return tuple(dict.fromkeys(entry for entry in entries if entry)) or None


def write_value(flag: Flag, value: FlagValue) -> str:
    """The value as one types it; what ``read_value`` reads back."""
    if flag.kind is Kind.RATIO and isinstance(value, tuple):
        return ":".join(str(side) for side in value)
    if isinstance(value, tuple):
        return ", ".join(str(entry) for entry in value)
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return str(value)


def write(flag: Flag, value: FlagValue) -> str:
    """Flag and value as one types them, empty when there is nothing to type (a switch that is off)."""
    if flag.kind is Kind.SWITCH:
        return f"--{flag.name}" if value else ""
    if flag.kind is Kind.MODE:
        return f"--{value}"
    return f"--{flag.name} {write_value(flag, value)}" if value != () else ""
