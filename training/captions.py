"""Writes captions of scenes in English and Chinese, and the labels that each caption gives away."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from training.paths import DATA
from training.scenes import NATURAL, Scene
from training.things import COLOURS, NO_COLOUR, NO_STYLE, PLAIN_SHAPES, STYLES, THINGS, plural

UNKNOWN = len(THINGS)  # the class of a word the model has no picture for
NOBODY = len(THINGS) + 1  # the class "no second thing"

EN_EXTRA = (
    "in a storm",
    "at night",
    "on the beach",
    "highly detailed",
    "digital art",
    "oil painting",
    "4k",
    "in the forest",
    "watercolor",
    "best quality",
    "masterpiece",
    "in the rain",
    "in space",
    "by the sea",
    "emoji",
    "sticker",
    "cinematic light",
    "in the city",
    "in winter",
    "smiling",
)
ZH_EXTRA = (
    "暴风雨中",
    "夜晚",
    "海边",
    "高清",
    "数字艺术",
    "油画",
    "森林里",
    "水彩",
    "最好的画质",
    "雨中",
    "太空中",
    "表情",
    "贴纸",
    "卡通风格",
    "城市里",
    "冬天",
    "微笑",
    "插画",
    "可爱风格",
)
EN_MANNER = (
    "",
    "",
    "",
    "",
    "a picture of ",
    "a drawing of ",
    "an image of ",
    "a photo of ",
    "an emoji of ",
    "draw ",
    "paint ",
    "i want ",
    "please draw ",
)
ZH_MANNER = ("", "", "", "", "一张图，", "画", "请画", "一幅画：", "我想要", "图片：", "来")
EN_MOOD = ("", "", "", "", "", "cute ", "big ", "small ", "little ", "beautiful ", "happy ", "old ", "shiny ")
ZH_MOOD = ("", "", "", "", "", "可爱的", "大", "小小的", "漂亮的", "快乐的")
EN_NUMBERS = (
    ("a", "a", "one", "", "the", "1", "a single"),
    ("two", "two", "2", "a pair of"),
    ("three", "three", "3"),
)
ZH_NUMBERS = (("一", "一", "1", ""), ("两", "两", "2", "二"), ("三", "三", "3"))


@dataclass(frozen=True)
class Caption:
    """A caption, and its classes: thing, colour, count, other, other_colour, background, style."""

    text: str
    labels: tuple[int, int, int, int, int, int, int]


@lru_cache(maxsize=2)
def foreign_words(language: str) -> tuple[str, ...]:
    """Words of emoji that the model has no picture for, in 'en' or 'zh'."""
    path = DATA / "emojibase" / language / "compact.json"
    known = {name for thing in THINGS for name in (*thing.en, *thing.zh)}
    labels = [str(entry["label"]).lower() for entry in json.loads(path.read_text(encoding="utf-8"))]
    return tuple(
        label
        for label in labels
        if len(label) < 18
        and not any(
            name == label or (name in label.split() if language == "en" else name in label) for name in known
        )
    )


def _said_colour(rng: random.Random, thing: int, colour: int) -> int:
    """The colour to say: always one that was put on, sometimes the natural one."""
    natural = NATURAL.get(THINGS[thing].natural, NO_COLOUR)
    if colour == NO_COLOUR and natural != NO_COLOUR and rng.random() < 0.3:
        return natural
    return colour


def _word(rng: random.Random, names: Sequence[str]) -> str:
    """The canonical name half of the time, else an alias."""
    return names[0] if rng.random() < 0.6 else rng.choice(names)


def _en_noun(rng: random.Random, name: str, colour: int, count: int) -> str:
    """`a red cat`, `three red cats`."""
    words = f"{rng.choice(EN_MOOD)}{_word(rng, COLOURS[colour].en) if colour != NO_COLOUR else ''}"
    many = plural(name) if count > 1 else name
    phrase = " ".join(f"{words} {many}".split())
    number = rng.choice(EN_NUMBERS[count - 1])
    if number == "a" and phrase[0] in "aeio":
        number = "an"
    return f"{number} {phrase}".strip()


def _zh_noun(rng: random.Random, name: str, measure: str, colour: int, count: int) -> str:
    """`一只红色的猫`, `三只红猫`, `红猫`."""
    paint = ""
    if colour != NO_COLOUR:
        paint = rng.choice(COLOURS[colour].zh)
        paint += rng.choice(("的", "的", "")) if len(paint) > 1 else ""
    number = rng.choice(ZH_NUMBERS[count - 1])
    amount = number + (measure if rng.random() < 0.85 else "个") if number else ""
    return f"{amount}{rng.choice(ZH_MOOD)}{paint}{name}"


def _en(rng: random.Random, nouns: list[str], background: int, style: int) -> str:
    """Join English nouns and, unless they are left open, the background and the style."""
    text = rng.choice((" and ", " and ", " next to ", " beside ", " with ")).join(nouns)
    if background != NO_COLOUR:
        ground = _word(rng, COLOURS[background].en)
        article = "an" if ground[0] in "aeio" else "a"
        text = rng.choice(
            (
                f"{text} on {article} {ground} background",
                f"{text} on {article} {ground} background",
                f"{text}, {ground} background",
                f"{text} against {article} {ground} background",
                f"{text} on {ground}",
                f"{ground} background, {text}",
                f"{text}, the background is {ground}",
                f"{text} in front of {article} {ground} wall",
            )
        )
    if rng.random() < 0.15:
        text += rng.choice((", ", " ")) + rng.choice(EN_EXTRA)
    manner = rng.choice(EN_MANNER)
    if style == NO_STYLE:
        return manner + text
    word = _word(rng, STYLES[style].en)
    return rng.choice((f"{manner}{text}, {word}", f"{word}, {text}", f"{word} {text}"))


def _zh(rng: random.Random, nouns: list[str], background: int, style: int) -> str:
    """Join Chinese nouns and, unless they are left open, the background and the style."""
    text = rng.choice(("和", "和", "与", "、", "旁边有")).join(nouns)
    if background != NO_COLOUR:
        ground = rng.choice(COLOURS[background].zh[1:])
        text = rng.choice(
            (
                f"{text}，{ground}背景",
                f"{text}，{ground}背景",
                f"{ground}背景上的{text}",
                f"{text}，背景是{ground}",
                f"{ground}的背景，{text}",
                f"{text}，{ground}的背景",
                f"在{ground}背景上，{text}",
            )
        )
    if rng.random() < 0.15:
        text += "，" + rng.choice(ZH_EXTRA)
    manner = rng.choice(ZH_MANNER)
    if style == NO_STYLE:
        return manner + text
    word = _word(rng, STYLES[style].zh)
    return rng.choice((f"{manner}{text}，{word}", f"{word}的{text}", f"{word}，{text}"))


def caption(rng: random.Random, scene: Scene, language: str, unknown: bool = False) -> Caption:
    """A caption of the scene in 'en' or 'zh'; with `unknown` the thing goes by a word that means nothing."""
    background = scene.background if rng.random() < 0.6 else NO_COLOUR
    style = scene.style if scene.style or rng.random() < 0.15 else NO_STYLE
    parts = [(scene.thing, scene.colour)] + ([(scene.other, scene.other_colour)] if scene.other >= 0 else [])
    nouns, said = [], []
    for thing, colour in parts:
        colour = _said_colour(rng, thing, colour)
        if unknown:
            colour = colour if THINGS[thing].key in PLAIN_SHAPES or scene.colour != NO_COLOUR else NO_COLOUR
            name = rng.choice(foreign_words(language))
        else:
            name = _word(rng, THINGS[thing].en if language == "en" else THINGS[thing].zh)
        said.append(colour)
        nouns.append(
            _en_noun(rng, name, colour, scene.count)
            if language == "en"
            else _zh_noun(rng, name, THINGS[thing].measure, colour, scene.count)
        )
    text = (_en if language == "en" else _zh)(rng, nouns, background, style)
    other = NOBODY if scene.other < 0 else UNKNOWN if unknown else scene.other
    return Caption(
        text,
        (
            UNKNOWN if unknown else scene.thing,
            said[0],
            scene.count - 1,
            other,
            said[1] if scene.other >= 0 else NO_COLOUR,
            background,
            style,
        ),
    )
