"""The table of prompt flags: adding a flag to the language is adding a row here.

Parser, renderer, help texts, autocomplete and ``docs/prompts.md`` all read this table and nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from bot.domain.sentence import Sentence, say

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
    SIZE = "size"
    """``WxH`` in pixels; ``low`` and ``high`` bound both."""
    NAME = "name"
    VERSION = "version"
    """One of ``choices``, the first of which is "" and stands for no value: ``--niji``, ``--niji 6``."""
    PHRASE = "phrase"
    """A name of several words that reaches to the next flag, in lowercase."""
    WORDS = "words"
    """A list with commas that reaches to the next flag."""
    LINKS = "links"
    """Links to pictures, or references to uploads, each perhaps with ``::weight``."""


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
    zh: str = ""
    """``help`` in Chinese."""
    means: str = ""
    """What becomes of it on an open model, for those who want numbers."""
    common: bool = True
    """Whether a short help names it with its sentence; the others are listed by name."""

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
        aliases=("aspect",),
        low=0.25,
        high=4,
        default=(1, 1),
        example="3:2",
        zh="画面的宽高比。",
        means="width and height of about the area the model was trained on, in its steps of pixels",
    ),
    Flag(
        "seed",
        Kind.INTEGER,
        "Start from this noise: the same seed and prompt give the same pictures. Random when left out.",
        low=0,
        high=2**32 - 1,
        example="7",
        zh="初始噪声的种子：种子和提示词相同，画面就相同；不写则随机。",
        means="the noise of the first picture; each further one takes the next number",
    ),
    Flag(
        "no",
        Kind.WORDS,
        "What should not be in the picture; a list with commas.",
        aliases=("negative", "neg"),
        default=(),
        example="fog, people",
        needs="negative_prompt",
        zh="画面里不要出现的东西，用逗号分开。",
        means="the negative prompt",
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
        zh="同一组画面之间差别有多大。",
        means="the part of the guidance scale above 1 shrinks, by up to 60 % at 100",
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
        zh="风格化的强度。",
        means=(
            "guidance scale x 0.6 at 0, x 1 at 100, x 1.8 at 1000; with a style profile "
            "also the weight of its LoRAs, x 0 at 0, x 1 at 100, x 1.5 at 1000"
        ),
    ),
    Flag(
        "weird",
        Kind.INTEGER,
        "How unusual the pictures may become.",
        aliases=("w",),
        low=0,
        high=3000,
        default=0,
        example="500",
        zh="画面可以有多古怪。",
        means="spreads the grid as --chaos does, by up to as much at 3000; the two add up",
        common=False,
    ),
    Flag(
        "exp",
        Kind.INTEGER,
        "A further push towards striking pictures, beside --stylize.",
        low=0,
        high=100,
        default=0,
        example="20",
        zh="在 --stylize 之外再加强画面的冲击力。",
        means="guidance scale x 1 at 0 to x 1.4 at 100",
        common=False,
    ),
    Flag(
        "quality",
        Kind.NUMBER,
        "Share of the model's steps to spend: less is faster, more is finer.",
        aliases=("q",),
        choices=(0.25, 0.5, 1.0, 2.0, 4.0),
        default=1.0,
        example="0.5",
        zh="使用模型步数的比例：小则快，大则细。",
        means="steps x this, up to the most that model and server allow",
    ),
    Flag(
        "draft",
        Kind.SWITCH,
        "A quick sketch at half the steps.",
        default=False,
        zh="草稿：只用一半步数，更快。",
        means="steps x 0.5",
        common=False,
    ),
    Flag(
        "steps",
        Kind.INTEGER,
        "Number of denoising steps, in place of the model's own.",
        low=1,
        high=150,
        example="20",
        zh="去噪步数，代替模型的默认值。",
        means="steps; --quality and --draft are then left aside",
    ),
    Flag(
        "cfg",
        Kind.NUMBER,
        "Guidance scale, in place of the model's own: how closely the words are followed.",
        aliases=("guidance", "scale"),
        low=0,
        high=100,
        example="7.5",
        zh="引导强度，代替模型的默认值：多大程度上遵循文字。",
        means="the guidance scale as it is; --stylize, --chaos, --weird and --exp then leave it alone",
        common=False,
    ),
    Flag(
        "sampler",
        Kind.PHRASE,
        "Sampler by the name people know, in place of the model's own.",
        example="euler a",
        zh="采样器的名字，代替模型的默认值。",
        means="the sampler; the model must have it",
        common=False,
    ),
    Flag(
        "size",
        Kind.SIZE,
        "Exact width and height in pixels, in place of --ar.",
        low=16,
        high=16384,
        example="512x768",
        zh="以像素为单位的宽和高，代替 --ar。",
        means="width and height, rounded to the model's steps of pixels; it must be able to paint them",
        common=False,
    ),
    Flag(
        "tile",
        Kind.SWITCH,
        "Make pictures whose edges meet, for patterns.",
        default=False,
        needs="tile",
        zh="画出边缘相接的图案。",
        means="convolutions wrap around the edges",
    ),
    Flag(
        "stop",
        Kind.INTEGER,
        "Stop after this percentage of the steps: softer, unfinished pictures.",
        low=10,
        high=100,
        default=100,
        example="80",
        zh="完成百分之几的步数后停下：更柔和、未完成的画面。",
        means="share of the steps after which the picture is decoded as it is",
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
        zh="参考图的权重：0 只看文字，3 最接近原图。",
        means="denoising strength 0.6 ** weight: 0.6 at 1, 0.22 at 3",
    ),
    Flag(
        "blend",
        Kind.SWITCH,
        "Mix the pictures in front of the text in equal parts; /blend writes it.",
        default=False,
        needs="blend",
        zh="把文字前的图片等量融合；/blend 会写上它。",
        means="pictures mixed by what an IP-Adapter sees in them, else by their noised latents",
        common=False,
    ),
    Flag(
        "sref",
        Kind.LINKS,
        "Take the style of these pictures.",
        example="https://example.org/style.png",
        needs="references",
        zh="借用这些图片的风格。",
        means="style references through an IP-Adapter, where the model has one",
        common=False,
    ),
    Flag(
        "sw",
        Kind.INTEGER,
        "Weight of --sref.",
        low=0,
        high=1000,
        default=100,
        example="200",
        needs="references",
        zh="--sref 的权重。",
        means="scale of the adapter: 0.6 at 100, 0 at 0, 1.2 at 1000",
        common=False,
    ),
    Flag(
        "cref",
        Kind.LINKS,
        "Show the character of these pictures.",
        example="https://example.org/character.png",
        needs="references",
        zh="画出这些图片里的角色。",
        means="character references through an IP-Adapter, where the model has one",
        common=False,
    ),
    Flag(
        "cw",
        Kind.INTEGER,
        "Weight of --cref.",
        low=0,
        high=100,
        default=100,
        example="50",
        needs="references",
        zh="--cref 的权重。",
        means="scale of the adapter: 0.6 at 100, 0 at 0",
        common=False,
    ),
    Flag(
        "oref",
        Kind.LINKS,
        "Show the thing or person of this picture.",
        example="https://example.org/thing.png",
        needs="references",
        zh="画出这张图片里的人或物。",
        means="a character reference, as --cref",
        common=False,
    ),
    Flag(
        "ow",
        Kind.INTEGER,
        "Weight of --oref.",
        low=0,
        high=1000,
        default=100,
        example="200",
        needs="references",
        zh="--oref 的权重。",
        means="scale of the adapter: 0.6 at 100, 0 at 0, 1.2 at 1000",
        common=False,
    ),
    Flag(
        "style",
        Kind.NAME,
        "A style profile of this server, or raw.",
        aliases=("profile", "personalize", "p"),
        example="raw",
        zh="本服务器的风格预设，或 raw。",
        means="words before and behind the prompt, a negative prompt, guidance, LoRAs and perhaps a model",
    ),
    Flag(
        "raw",
        Kind.SWITCH,
        "Your words alone: nothing that the server adds to prompts of this model.",
        default=False,
        zh="只用你的文字，不加服务器为此模型预设的内容。",
        means="the model's own prefix, suffix and undesired content are left out; the same as --style raw",
        common=False,
    ),
    Flag(
        "preset",
        Kind.NAME,
        "Undesired content by the name of one of the model's presets, or none.",
        aliases=("uc",),
        example="none",
        zh="选用模型的“不良内容”预设，none 为不用。",
        means="words added to the negative prompt, from the model's presets in the configuration",
        common=False,
    ),
    Flag(
        "model",
        Kind.NAME,
        "The model that paints; the server's default when left out.",
        aliases=("v", "version"),
        example="sketch",
        zh="作画的模型；不写则用服务器默认的。",
        means="the model; its name or an alias from the configuration, so that --v 6 may be one",
    ),
    Flag(
        "niji",
        Kind.VERSION,
        "Anime: the server's anime model, or its anime style.",
        choices=("", "4", "5", "6", "7"),
        example="6",
        zh="动漫：服务器的动漫模型或动漫风格。",
        means="the model with the alias `niji` (or `niji-6`); without one, the style `anime`",
        common=False,
    ),
    Flag(
        "n",
        Kind.INTEGER,
        "Number of pictures in the grid.",
        low=1,
        high=9,
        default=4,
        example="4",
        zh="一组画几张。",
        means="number of pictures, painted together",
    ),
    Flag(
        "repeat",
        Kind.INTEGER,
        "Order this many grids at once.",
        aliases=("r",),
        low=2,
        high=40,
        example="3",
        zh="一次下单几组。",
        means="as many jobs; with --seed each goes on where the one before ended",
        common=False,
    ),
    Flag(
        "visibility",
        Kind.MODE,
        "Stealth keeps pictures out of galleries and other people's reach.",
        choices=("public", "stealth"),
        default="public",
        zh="stealth 让作品不进入画廊，也不让别人找到。",
        means="who may find the pictures again",
        common=False,
    ),
    Flag(
        "speed",
        Kind.MODE,
        "Turbo goes before fast and costs more; relaxed jobs wait behind both and cost less.",
        choices=("fast", "relax", "turbo"),
        default="fast",
        zh="turbo 最先画、花费更多；relax 排在后面、花费更少。",
        means="the lane of the queue",
    ),
)

BY_NAME: dict[str, Flag] = {flag.name: flag for flag in FLAGS}
BY_SPELLING: dict[str, Flag] = {spelling: flag for flag in FLAGS for spelling in flag.spellings}

_STILL = ("video", "motion", "loop", "end", "bs")
_OLD_VERSIONS = ("hd", "test", "testp", "creative", "beta", "vibe", "fun", "hq", "mp", "old", "newclip")
_BUTTONS = ("upbeta", "uplight", "upanime", "upscale", "uplite")
_MIDJOURNEY = ("sv", "nostretch", "turtle", "edge", "web")
_INSTEAD = {
    "sameseed": "--seed 7",
    "width": "--size 512x768",
    "height": "--size 512x768",
    "h": "--size 512x768",
    "cfg_scale": "--cfg 7.5",
    "guidance_scale": "--cfg 7.5",
    "negative_prompt": "--no fog, people",
    "negative-prompt": "--no fog, people",
    "images": "--n 4",
    "batch": "--n 4",
    "aspect_ratio": "--ar 3:2",
    "relaxed": "--relax",
    "private": "--stealth",
}
FOREIGN: tuple[str, ...] = (*_STILL, *_OLD_VERSIONS, *_BUTTONS, *_MIDJOURNEY, *_INSTEAD)
"""Words that other programs know as flags and Tessera does not."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
_RATIO = re.compile(r"0*(\d{1,5})[:x/×∶]0*(\d{1,5})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,63}")
_PHRASE = re.compile(r"[a-z0-9][a-z0-9 ._+/()-]{0,63}")
_TRAILING = ",;.，；。、"
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


def allowed(flag: Flag, high: float | None = None) -> Sentence:
    """What values the flag takes, as the end of the sentence "must be ..."; ``high`` narrows the table's."""
    top = flag.high if high is None else min(high, flag.high)
    match flag.kind:
        case Kind.VERSION:
            return say(
                "one of {names}, or nothing", names=", ".join(str(choice) for choice in flag.choices[1:])
            )
        case _ if flag.choices:
            names = ", ".join(write_value(flag, choice) for choice in flag.choices)
            return say("one of {names}", names=names)
        case Kind.RATIO:
            edges = (Fraction(edge) for edge in (flag.low, flag.high))
            low, most = (f"{edge.numerator}:{edge.denominator}" for edge in edges)
            return say(
                "two whole numbers like `{example}`, from {low} to {high}",
                example=flag.example,
                low=low,
                high=most,
            )
        case Kind.SIZE:
            return say(
                "width and height in pixels like `{example}`, each from {low:g} to {high:g}",
                example=flag.example,
                low=flag.low,
                high=top,
            )
        case Kind.INTEGER | Kind.NUMBER:
            shown = int(top) if top == int(top) else top
            if flag.kind is Kind.INTEGER:
                return say("a whole number from {low:g} to {high}", low=flag.low, high=shown)
            return say("a number from {low:g} to {high}", low=flag.low, high=shown)
        case Kind.WORDS:
            return say("a list of words with commas, like `{example}`", example=flag.example)
        case Kind.LINKS:
            return say("http or https links to pictures, like `{example}`", example=flag.example)
        case _:
            return _allowed_name(flag)


def _allowed_name(flag: Flag) -> Sentence:
    match flag.name:
        case "model":
            return say("a model's name, like `{example}`", example=flag.example)
        case "style":
            return say("a style's name, like `{example}`", example=flag.example)
        case "sampler":
            return say("a sampler's name, like `{example}`", example=flag.example)
        case _:
            return say("a name, like `{example}`", example=flag.example)


def foreign(name: str, typed: str) -> Sentence:
    """What to do instead of a flag that other programs know; ``name`` is one of FOREIGN."""
    if name in _STILL:
        return say("{typed}: Tessera paints still pictures; leave it out.", typed=typed)
    if name in _OLD_VERSIONS:
        return say(
            "{typed} named an old model of Midjourney's; leave it out, or choose a model with `--model`.",
            typed=typed,
        )
    if name in _BUTTONS:
        return say("{typed}: enlarging has its own buttons under the picture; leave it out.", typed=typed)
    if name in _INSTEAD:
        return say("{typed} is no flag here; write `{instead}`.", typed=typed, instead=_INSTEAD[name])
    return say("{typed} belongs to Midjourney's own models; leave it out.", typed=typed)


def read_value(flag: Flag, text: str, high: float | None = None) -> FlagValue | None:
    """The value ``text`` stands for, or None when the flag does not take it. Full-width forms are fine."""
    if flag.kind is Kind.WORDS:
        return read_words(text)
    if flag.kind is Kind.LINKS:
        return tuple(dict.fromkeys(text.split())) or None
    plain = unicodedata.normalize("NFKC", text).rstrip(_TRAILING)
    match flag.kind:
        case Kind.INTEGER | Kind.NUMBER:
            return _read_number(flag, plain, high)
        case Kind.RATIO:
            return _read_ratio(flag, plain.lower())
        case Kind.SIZE:
            return _read_size(flag, plain.lower(), high)
        case Kind.NAME:
            return plain if _NAME.fullmatch(plain) else None
        case Kind.VERSION:
            return plain if plain in flag.choices else None
        case Kind.PHRASE:
            words = " ".join(plain.lower().replace("_", " ").strip("\"'“”` ").split())
            return words if _PHRASE.fullmatch(words) else None
        case _:
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


def _read_size(flag: Flag, plain: str, high: float | None) -> FlagValue | None:
    found = _RATIO.fullmatch(plain)
    if not found:
        return None
    width, height = int(found[1]), int(found[2])
    top = flag.high if high is None else min(high, flag.high)
    return (width, height) if flag.low <= min(width, height) and max(width, height) <= top else None


def read_words(text: str) -> tuple[str, ...] | None:
    """The entries of a list with commas (Chinese ones too), each once; None when there are none.

    A comma inside brackets parts nothing, since it belongs to a weight: ``(hands, feet:1.4), fog``.
    """
    entries = (" ".join(entry.split()) for entry in _parted(text))
    return tuple(dict.fromkeys(entry for entry in entries if entry)) or None


def _parted(text: str) -> list[str]:
    inside = _in_brackets(text)
    parts, begin = [], 0
    for place, char in enumerate(text):
        if char in ",，、" and not inside[place]:
            parts.append(text[begin:place])
            begin = place + 1
    return [*parts, text[begin:]]


def _in_brackets(text: str) -> list[int]:
    """Depth of matched brackets at every character; a bracket without its partner is only a character."""
    opened: list[int] = []
    change = [0] * (len(text) + 1)
    for place, char in enumerate(text):
        if char in _OPENING:
            opened.append(place)
        elif char in _CLOSING and opened:
            change[opened.pop()] += 1
            change[place + 1] -= 1
    depth, depths = 0, []
    for step in change[:-1]:
        depth += step
        depths.append(depth)
    return depths


def write_value(flag: Flag, value: FlagValue) -> str:
    """The value as one types it; what ``read_value`` reads back."""
    if isinstance(value, tuple):
        joints = {Kind.RATIO: ":", Kind.SIZE: "x", Kind.LINKS: " "}
        return joints.get(flag.kind, ", ").join(str(entry) for entry in value)
    if isinstance(value, float):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return str(value)


def write(flag: Flag, value: FlagValue) -> str:
    """Flag and value as one types them, empty when there is nothing to type (a switch that is off)."""
    if flag.kind is Kind.SWITCH:
        return f"--{flag.name}" if value else ""
    if flag.kind is Kind.MODE:
        return f"--{value}"
    return f"--{flag.name} {write_value(flag, value)}".rstrip() if value != () else ""
