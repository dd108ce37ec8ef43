"""One pass over the words of a prompt: text, pictures, values of flags, and a sentence for every fault."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.domain import flags, weights
from bot.domain.flags import BY_NAME, BY_SPELLING, FLAGS, FOREIGN, Flag, FlagValue, Kind
from bot.domain.sentence import Sentence, say

MOST_GUESSES = 10
"""Faults of a prompt after which no more spellings are guessed: a guess costs half a millisecond."""
MAX_IMAGES = 5
"""Image links and uploads of one prompt, and of one flag: each is fetched before the job may start."""
REFERENCES = ("sref", "cref", "oref")
"""Flags whose values are pictures."""

_DASHES = "—–―⸺"
_START = re.compile(rf"(?P<dash>--|－－|﹣﹣|−−|[{_DASHES}]{{1,2}})(?P<name>[^\W\d_].*)")
# Chinese is written without spaces, so a flag may touch the character before it.
_GLUED = re.compile(
    r"(?<=[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff0c\uff0e-\uff60,;.!?])(?=(?:--|－－|——)[A-Za-z]+(?:=|\s|$))"
)
_LINK = re.compile(r"<?(?P<url>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://[^\s<>]*)>?")
_SHARE = re.compile(r"::\d{1,4}(?:\.\d{1,4})?$", re.ASCII)
_QUOTES = "\"“”'"
_STOPS = tuple(",;.，；。、")
_ADD_UP = (Kind.WORDS, Kind.LINKS)


@dataclass(frozen=True, slots=True)
class Known:
    """What a server has; empty tuples let every name pass."""

    models: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of models, in lowercase."""
    highs: Mapping[str, float] = field(default_factory=dict)
    """Upper ends of flags, by name, where the server allows less than the table."""


def text_faults(text: str, most: int) -> Iterator[Sentence]:
    """Faults of a text that keep it from being read at all."""
    if len(text) > most:
        yield say(
            "The prompt has {length:,} characters; at most {most:,} are taken. Please shorten it.",
            length=len(text),
            most=most,
        )
    foul = next((place for place, char in enumerate(text) if is_foul(char)), None)
    if foul is not None:
        yield say(
            "Character {place:,} of the prompt (U+{code:04X}) is a control code, not text; "
            "please leave it out.",
            place=foul + 1,
            code=ord(text[foul]),
        )


def words_of(text: str) -> list[str]:
    """The text at its white space, with flags that touch Chinese or punctuation set apart."""
    return [part for word in text.split() for part in ([word] if _LINK.match(word) else _GLUED.split(word))]


def flag_name(word: str) -> str | None:
    """What stands behind the dashes if the word is meant as a flag; None for text and prose dashes."""
    found = _START.fullmatch(word)
    if not found:
        return None
    name = unicodedata.normalize("NFKC", found["name"])
    prose = found["dash"][0] in _DASHES and not name[0].isascii()
    return None if prose else name


class Reading:
    """What was understood of a prompt so far. ``attached`` are references that count as pictures.

    ``lent`` are references that flags may name and that count as nothing else.
    """

    def __init__(
        self, attached: tuple[str, ...] = (), known: Known | None = None, lent: tuple[str, ...] = ()
    ) -> None:
        self.attached = attached
        self.named = (*attached, *lent)
        self.known = known or Known()
        self.words: list[str] = []
        self.images: tuple[str, ...] = ()
        self.values: dict[str, FlagValue] = {}
        self.faults: list[Sentence] = []
        self.unsettled = False
        """Whether the model that was asked for is not here, so that nobody can say what it would do."""

    @property
    def text(self) -> str:
        """The words that are no flags."""
        return " ".join(self.words)

    def read(self, words: list[str]) -> Reading:
        """Read flags and text; pictures stay among the words until ``take_images``."""
        at = 0
        while at < len(words):
            name = flag_name(words[at])
            at += 1
            if name is None:
                self.words.append(words[at - 1])
            else:
                at = self._read_flag(name, words, at)
        return self

    def take_images(self) -> None:
        """Move leading links from the words to ``images``; faults for those that stand elsewhere."""
        links: list[str] = []
        while self.words and (link := self._leading_image(self.words[0])) is not None:
            links.append(link)
            del self.words[0]
        self.images = tuple(dict.fromkeys((*self.attached, *links)))
        for word, after in zip(self.words, (*self.words[1:], ""), strict=False):
            if _LINK.fullmatch(word):
                self._blame(
                    say("{typed}: image links go before the text; move it to the front.", typed=quoted(word))
                )
            elif name := _touching_flag(word, after):
                self._blame(say("{typed}: put a space before `--{name}`.", typed=quoted(word), name=name))
        if len(self.images) > MAX_IMAGES:
            self._blame(
                say(
                    "{count} image prompts were given; at most {most} are taken.",
                    count=len(self.images),
                    most=MAX_IMAGES,
                )
            )

    def check_text(self) -> None:
        """Faults of the text as a whole."""
        if not self.images and not any(_is_visible(word) for word in self.words):
            self._blame(say("The prompt is empty; say what to paint, for example `a red apple --ar 3:2`."))
        elif weights.parts(self.text) and (total := weights.weigh(self.text)) <= 0:
            self._blame(
                say(
                    "The weights behind `::` add up to {sum:g}; together they must be more than 0, for "
                    "example `cat::2 fog::-1`.",
                    sum=total,
                )
            )

    def fill(self, other: Reading) -> None:
        """Add another reading's text behind this one's, and its values where this one has none."""
        if self.words and other.text[:1] in _STOPS:
            self.words[-1:] = [self.words[-1] + other.words[0], *other.words[1:]]
        else:
            self.words += other.words
        for name, value in other.values.items():
            mine = self.values.get(name)
            self.values[name] = value if mine is None else _merged(BY_NAME[name], mine, value)

    def _blame(self, fault: Sentence) -> None:
        self.faults.append(fault)

    def _read_flag(self, typed: str, words: list[str], at: int) -> int:
        """Read one flag whose value starts at ``words[at]``; returns where to go on."""
        name, equals, inline = typed.partition("=")
        flag = BY_SPELLING.get(name)
        if flag is None:
            self.faults.append(_unknown_flag(name, helped=len(self.faults) < MOST_GUESSES))
            return at
        if flag.kind in (Kind.SWITCH, Kind.MODE):
            self.values[flag.name] = True if flag.kind is Kind.SWITCH else name
            if equals:
                self._blame(
                    say(
                        "{typed}: `--{name}` takes no value; write it alone.",
                        typed=quoted("--" + typed),
                        name=name,
                    )
                )
            return at
        end = self._value_end(flag, words, at, bool(equals))
        self._take_value(flag, name, " ".join([inline] * bool(equals) + words[at:end]))
        return end

    def _value_end(self, flag: Flag, words: list[str], at: int, inline: bool) -> int:
        """Where the value ends: no flag is ever part of one."""
        limit = next((place for place in range(at, len(words)) if flag_name(words[place])), len(words))
        first = min(at + (not inline), limit)
        match flag.kind:
            case Kind.WORDS:
                return limit
            case Kind.PHRASE:
                return _phrase_end(words, at, limit)
            case Kind.LINKS:
                others = (place for place in range(first, limit) if not self._is_picture(words[place]))
                return next(others, limit)
            case Kind.VERSION:
                return first if words[at:first] and words[at][0].isdigit() else at
            case _:
                return first

    def _is_picture(self, word: str) -> bool:
        bare = _SHARE.sub("", word)
        return bare in self.named or _LINK.fullmatch(bare) is not None

    def _take_value(self, flag: Flag, name: str, typed: str) -> None:
        high = self.known.highs.get(flag.name)
        value = flags.read_value(flag, typed, high)
        if not typed.strip() and flag.kind is not Kind.VERSION:
            self._blame(
                say(
                    "`--{name}`: a value is missing; it must be {allowed}.",
                    name=name,
                    allowed=flags.allowed(flag, high),
                )
            )
        elif value is None or _hides_flag(flag, value):
            self.faults.append(bad_value(flag, f"--{name} {typed}", high))
        elif flag.kind is Kind.NAME:
            self._take_name(flag, name, str(value))
        elif flag.kind is Kind.LINKS and isinstance(value, tuple):
            self._take_links(flag, tuple(str(link) for link in value))
        else:
            self._keep(flag, value)

    def _take_name(self, flag: Flag, spelling: str, typed: str) -> None:
        """Names of models and styles, where those are known; the style ``raw`` is the flag of that name."""
        if flag.name == "style" and typed.lower() == "raw":
            self.values["raw"] = True
            return
        aliases = self.known.aliases if flag.name == "model" else {}
        value = aliases.get(typed.lower(), typed)
        names = {"model": self.known.models, "style": self.known.styles}.get(flag.name, ())
        if names and value not in names:
            lower = {name.lower(): name for name in names}
            if value.lower() not in lower:
                self._blame(unknown_name(flag.name, typed, names, spelling))
                self.unsettled |= flag.name == "model"
                return
            value = lower[value.lower()]
        self.values[flag.name] = value

    def _take_links(self, flag: Flag, typed: tuple[str, ...]) -> None:
        links = []
        for word in typed:
            share = found[0] if (found := _SHARE.search(word)) else ""
            bare = word.removesuffix(share)
            link = _LINK.fullmatch(bare)
            if bare in self.named:
                links.append(word)
            elif link is None:
                self._blame_link(flag, bare)
            elif fault := _link_fault(link["url"], link["scheme"]):
                self.faults.append(fault)
            else:
                links.append(link["url"] + share)
        if links:
            self._keep(flag, tuple(links))
        kept = self.values.get(flag.name, ())
        if isinstance(kept, tuple) and len(kept) > MAX_IMAGES:
            self._blame(
                say(
                    "`--{name}`: {count} pictures were given; at most {most} are taken.",
                    name=flag.name,
                    count=len(kept),
                    most=MAX_IMAGES,
                )
            )

    def _blame_link(self, flag: Flag, word: str) -> None:
        if flag.name == "sref" and (word.lower() == "random" or word.isdigit()):
            self._blame(
                say(
                    "{typed}: style codes belong to Midjourney's own models; give a link to a picture, "
                    "or one of this server's styles with `--style`.",
                    typed=quoted(f"--sref {word}"),
                )
            )
        else:
            self.faults.append(bad_value(flag, f"--{flag.name} {word}"))

    def _keep(self, flag: Flag, value: FlagValue) -> None:
        before = self.values.get(flag.name)
        adds = before is not None and flag.kind in _ADD_UP
        self.values[flag.name] = _merged(flag, before, value) if adds and before is not None else value

    def _leading_image(self, word: str) -> str | None:
        if word in self.attached:
            return word
        found = _LINK.fullmatch(word)
        if not found:
            return None
        if fault := _link_fault(found["url"], found["scheme"]):
            self.faults.append(fault)
        return found["url"]


def quoted(text: str) -> str:
    """Something a user typed, short and in backticks that it cannot leave."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return f"`{printable(short).replace('`', chr(0x2BB))}`"


def printable(text: str) -> str:
    """The text with everything replaced that no terminal, database or message could take."""
    return "".join(" " if char.isspace() else "\ufffd" if is_foul(char) else char for char in text)


def is_foul(char: str) -> bool:
    """Control codes and lone surrogates, which are not text."""
    return unicodedata.category(char) in ("Cc", "Cs") and not char.isspace()


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word most like the typed one, if any is like it at all."""
    found = difflib.get_close_matches(word[:40].lower(), known, n=1, cutoff=0.55)
    return found[0] if found else None


def unknown_name(kind: str, typed: str, names: tuple[str, ...], spelling: str = "") -> Sentence:
    """The sentence for a model or style (``kind``) that this server does not have, by the flag as typed."""
    told: dict[str, object] = {
        "flag": spelling or kind,
        "typed": quoted(typed),
        "names": ", ".join(names),
    }
    if kind == "model":
        return say("`--{flag}` {typed}: there is no such model here; choose one of {names}.", **told)
    return say("`--{flag}` {typed}: there is no such style here; choose one of {names}.", **told)


def bad_value(flag: Flag, typed: str, high: float | None = None) -> Sentence:
    """The sentence for a value that a flag does not take."""
    return say(
        "{typed}: the value must be {allowed}.", typed=quoted(typed), allowed=flags.allowed(flag, high)
    )


def _merged(flag: Flag, mine: FlagValue, other: FlagValue) -> FlagValue:
    """Lists add up, read as one so that brackets across them are seen; of other values the first stays."""
    if flag.kind not in _ADD_UP or not isinstance(mine, tuple) or not isinstance(other, tuple):
        return mine
    return flags.read_value(flag, flags.write_value(flag, (*map(str, mine), *map(str, other)))) or mine


def _phrase_end(words: list[str], at: int, limit: int) -> int:
    """A phrase reaches to the next flag, or to its closing quotation mark."""
    if at < limit and words[at][0] in _QUOTES:
        return next((place + 1 for place in range(at, limit) if words[place][-1] in _QUOTES[:3]), limit)
    return limit


def _hides_flag(flag: Flag, value: FlagValue) -> bool:
    """Whether a list holds what would be read as a flag once it is written out: ``--no=--tile``."""
    entries = value if isinstance(value, tuple) else (value,) if flag.kind is Kind.PHRASE else ()
    return any(flag_name(word) for entry in entries for word in words_of(str(entry)))


def _touching_flag(word: str, after: str) -> str | None:
    """The flag in ``apple--ar 3:2``; ``well--known`` and ``yes--no`` are words."""
    name = word.rpartition("--")[2]
    flag = BY_SPELLING.get(name)
    kinds = (Kind.INTEGER, Kind.NUMBER, Kind.RATIO, Kind.SIZE)
    if flag is None or "--" not in word or flag.kind not in kinds:
        return None
    return name if flags.read_value(flag, after) is not None else None


def _is_visible(word: str) -> bool:
    return any(unicodedata.category(char) not in ("Cf", "Mn", "Me") for char in word)


def _link_fault(url: str, scheme: str) -> Sentence | None:
    if scheme.lower() not in ("http", "https"):
        return say("{typed}: only http and https links to pictures are taken.", typed=quoted(url))
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return (
        None
        if host
        else say("{typed} is not a complete link; copy it again from the picture.", typed=quoted(url))
    )


def _unknown_flag(name: str, *, helped: bool) -> Sentence:
    typed = quoted(f"--{name}")
    if not helped:
        return say("{typed}: there is no such flag.", typed=typed)
    if name.lower() in BY_SPELLING:
        return say(
            "{typed}: flags are written in lowercase; write `--{name}`.", typed=typed, name=name.lower()
        )
    if name.lower() in FOREIGN:
        return flags.foreign(name.lower(), typed)
    if guess := nearest(name, tuple(BY_SPELLING)):
        return say("{typed}: there is no such flag; did you mean `--{name}`?", typed=typed, name=guess)
    names = ", ".join(
        f"--{spelling}"
        for flag in FLAGS
        for spelling in (flag.spellings if flag.kind is Kind.MODE else flag.spellings[:1])
    )
    return say("{typed}: there is no such flag. Flags are {names}.", typed=typed, names=names)
