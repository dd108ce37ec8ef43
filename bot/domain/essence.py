"""Which words of a prompt matter, told from the words alone: there is no model behind it.

Words of grammar weigh nothing, words that say "good" in general little, what comes early more than what
comes late, and a repeated word nothing the second time. Where no spaces part words, as in Chinese, phrases
are parted at punctuation and behind the particle 的.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOP_WORDS = _listed(
    "a an and are as at be been being but by can could did do does each every for from had has have he "
    "her here him his how i if in into is it its just like me more most my no nor not of off on onto or "
    "our out over own please s she so some such t than that the their them then there these they this "
    "those to too under until up us very was we were what when where which while who will with within "
    "without would you your picture image photo showing depicting featuring make create draw paint "
    "generate want"
)
"""Words of grammar, and those that only ask for a picture."""
FLUFF = _listed(
    "amazing awesome beautiful best breathtaking elegant epic excellent exquisite fantastic gorgeous "
    "great good high highly incredible intricate lovely magnificent masterpiece nice perfect pretty "
    "professional quality really stunning super ultra unreal detailed detail details hd uhd hdr 4k 8k "
    "16k resolution trending artstation award winning octane render realistic hyperrealistic "
    "photorealistic sharp focus mesmerizing wonderful absolutely extremely"
)
"""Words that say "good": models have seen them under everything, so they say little of what to paint."""
_FLUFF_ZH = (
    "杰作",
    "最佳质量",
    "高质量",
    "高清",
    "超高清",
    "精美",
    "漂亮的",
    "美丽的",
    "精致",
    "细节丰富",
    "大师作品",
)
_STOP_ZH = ("请画", "画一", "帮我", "一张", "一幅", "图片", "照片")
_HAN = re.compile(r"[\u2e80-\u9fff]")
_UNIT = re.compile(r"[^\s,，、。;；.!！?？()（）\[\]{}\"“”]+")
_PARTICLE = re.compile(r"(?<=的)(?=.)")
SHARES = (0.75, 0.55, 0.4, 0.28, 0.18)
"""What part of the words that matter each shorter prompt keeps."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or phrase as it stands in the text; ``weight`` in [0, 1] says how much it matters."""

    text: str
    start: int
    weight: float

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return self.start + len(self.text)


def words(text: str) -> tuple[Word, ...]:
    """Every word with its weight, in order."""
    spans = [span for found in _UNIT.finditer(text) for span in _parted(found[0], found.start())]
    content = sum(1 for unit, _ in spans if _worth(unit) == 1.0) or 1
    seen: set[str] = set()
    ranked: list[Word] = []
    place = 0
    for unit, start in spans:
        worth = 0.0 if _folded(unit) in seen else _worth(unit)
        seen.add(_folded(unit))
        early = 1.0 - 0.5 * min(1.0, place / content)
        ranked.append(Word(unit, start, round(worth * early, 4)))
        place += worth == 1.0
    return tuple(ranked)


def shorter(text: str) -> tuple[str, ...]:
    """Up to five shorter texts, the longest first, each of the words that matter most in their order."""
    ranked = [word for word in words(text) if word.weight > 0]
    best = sorted(ranked, key=lambda word: (-word.weight, word.start))
    found: list[str] = []
    for share in SHARES:
        count = max(1, round(share * len(best)))
        kept = sorted(best[:count], key=lambda word: word.start)
        said = _joined(text, kept)
        if said and said not in found and len(said) < len(text):
            found.append(said)
    return tuple(found)


def _joined(text: str, kept: list[Word]) -> str:
    """The words with a comma where the text had one between them, a space or nothing elsewhere."""
    said = ""
    for before, word in zip([None, *kept], kept, strict=False):
        if before is not None:
            between = text[before.end : word.start]
            comma = next((char for char in between if char in ",，、。;；."), "")
            han = _HAN.match(word.text) and _HAN.match(before.text[-1])
            said += comma + ("" if (comma in tuple("，、。；") and comma) or han else " ")
        said += word.text
    return said


def _parted(unit: str, start: int) -> list[tuple[str, int]]:
    if not _HAN.search(unit):
        return [(unit, start)]
    parts = []
    for part in _PARTICLE.split(unit):
        parts.append((part, start))
        start += len(part)
    return parts


def _worth(unit: str) -> float:
    plain = _folded(unit)
    if not any(unicodedata.category(char)[0] in "LN" for char in plain) or plain in STOP_WORDS:
        return 0.0
    if plain in _STOP_ZH:
        return 0.0
    if plain in FLUFF or any(word in plain for word in _FLUFF_ZH):
        return 0.2
    pieces = [piece for piece in re.split(r"[-_/]", plain) if piece]
    return 0.2 if pieces and all(piece in FLUFF for piece in pieces) else 1.0


def _folded(unit: str) -> str:
    return unicodedata.normalize("NFKC", unit).casefold().strip("'’")
