"""The prompt language: ``parse`` text into a frozen ``Prompt``, ``render`` it back.

``[image links] text [--flags]``, as people know it from Midjourney. Parsing never raises anything but
PromptError, whatever the text, and reports every fault at once. Choices of ours: a flag given twice counts as
written last (lists add up); words after a flag's value belong to the text; links stand before the text.
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from bot.domain import flags
from bot.domain.flags import BY_NAME, BY_SPELLING, FLAGS, Flag, FlagValue, Kind
from bot.errors import PromptError

MAX_LENGTH = 6000
"""Characters of a prompt; Discord's own limit for a command option."""
MOST_GUESSES = 10
"""Faults of a prompt after which no more spellings are guessed: a guess costs half a millisecond."""
MAX_IMAGES = 5
"""Image links and uploads of one prompt: each is fetched before the job may start."""

_DASHES = "—–―⸺"
_START = re.compile(rf"(?P<dash>--|－－|﹣﹣|−−|[{_DASHES}]{{1,2}})(?P<name>[^\W\d_].*)")
# Chinese is written without spaces, so a flag may touch the character before it.
_GLUED = re.compile(
    r"(?<=[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff0c\uff0e-\uff60,;.!?])(?=(?:--|－－|——)[A-Za-z]+(?:=|\s|$))"
)
_LINK = re.compile(r"<?(?P<url>(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://[^\s<>]*)>?")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked for. ``values`` holds only the flags that were given, by canonical name.

    ``images`` are http(s) links, or references: ``attachment:<n>`` for an upload that came with the command,
    ``library:<image id>`` once it is kept.
    """

    text: str
    images: tuple[str, ...] = ()
    values: Mapping[str, FlagValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {flag.name: self.values[flag.name] for flag in FLAGS if flag.name in self.values}
        if unknown := self.values.keys() - given.keys():
            raise ValueError(f"no such flag: {', '.join(sorted(unknown))}")
        object.__setattr__(self, "values", MappingProxyType(given))

    def __hash__(self) -> int:
        return hash((self.text, self.images, tuple(self.values.items())))

    def __reduce__(self) -> tuple[type[Prompt], tuple[str, tuple[str, ...], dict[str, FlagValue]]]:
        return (Prompt, (self.text, self.images, dict(self.values)))

    def get(self, name: str) -> FlagValue | None:
        """The value, or the flag's default; None where the model or chance decides. KeyError: no flag."""
        return self.values.get(name, BY_NAME[name].default)

    def with_values(self, **values: FlagValue | None) -> Prompt:
        """A copy with these flags set; None takes a flag away."""
        merged = {**self.values, **values}
        return replace(self, values={name: value for name, value in merged.items() if value is not None})


def parse(
    text: str,
    *,
    attached: tuple[str, ...] = (),
    max_length: int = MAX_LENGTH,
    highs: Mapping[str, float] = MappingProxyType({}),
    models: tuple[str, ...] = (),
) -> Prompt:
    """Read what a user typed; PromptError names every fault.

    ``attached`` are references to pictures that came beside the text: they stand first in ``images``, and
    with one the text may be empty. ``highs`` lowers the upper ends of flags (by name) to what may be had.
    ``models`` are the names that ``--model`` may take; without any, every name passes here.
    """
    shown = _printable(text)
    faults = [*_text_faults(text, max_length)]
    if faults:
        raise PromptError(tuple(faults), shown)
    reading = _Reading(attached=attached, highs=highs, models=models)
    reading.read(_words(text))
    if reading.faults:
        raise PromptError(tuple(reading.faults), shown)
    return Prompt(" ".join(reading.words), reading.images, reading.values)


def render(prompt: Prompt) -> str:
    """The prompt as one would type it: links, text, flags in the table's order. ``parse`` reads it back."""
    written = [flags.write(BY_NAME[name], value) for name, value in prompt.values.items()]
    return " ".join(part for part in (*prompt.images, prompt.text, *written) if part)


def dumps(prompt: Prompt) -> str:
    """The prompt as JSON, for a database column: exact for any prompt, unlike a rendering."""
    return json.dumps(
        {"text": prompt.text, "images": prompt.images, "values": dict(prompt.values)}, ensure_ascii=False
    )


def loads(data: str) -> Prompt:
    """The inverse of ``dumps``; flags that the table no longer has are dropped."""
    kept = json.loads(data)
    values = {name: value for name, value in kept["values"].items() if name in BY_NAME}
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Prompt(kept["text"], tuple(kept["images"]), frozen)


def quoted(text: str) -> str:
    """Something a user typed, short and in backticks that it cannot leave."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return f"`{_printable(short).replace('`', chr(0x2BB))}`"


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """The known word most like the typed one, if any is like it at all."""
    found = difflib.get_close_matches(word[:40].lower(), known, n=1, cutoff=0.55)
    return found[0] if found else None


def unknown_model(typed: str, known: tuple[str, ...]) -> str:
    """The sentence for a model that this server does not have."""
    return f"`--model` {quoted(typed)}: there is no such model here; choose one of {', '.join(known)}."


def out_of_range(name: str, value: FlagValue, high: float | None = None) -> str:
    """The sentence for a flag's value that is well-formed but more than the model or server allows."""
    flag = BY_NAME[name]
    return _bad_value(flag, f"--{flags.write(flag, value).lstrip('-')}", high)


def _bad_value(flag: Flag, typed: str, high: float | None = None) -> str:
    return f"{quoted(typed)}: the value must be {flags.allowed(flag, high)}."


def _printable(text: str) -> str:
    """The text with everything replaced that no terminal, database or message could take."""
    return "".join(" " if char.isspace() else "\ufffd" if _is_foul(char) else char for char in text)


def _is_foul(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs") and not char.isspace()


def _text_faults(text: str, max_length: int) -> Iterator[str]:
    if len(text) > max_length:
        yield f"The prompt has {len(text):,} characters; at most {max_length:,} are taken. Please shorten it."
    foul = next((place for place, char in enumerate(text) if _is_foul(char)), None)
    if foul is not None:
        yield (
            f"Character {foul + 1:,} of the prompt (U+{ord(text[foul]):04X}) is a control code, not text; "
            "please leave it out."
        )


def _words(text: str) -> list[str]:
    """The text at its white space, with flags that touch Chinese or punctuation set apart."""
    return [part for word in text.split() for part in ([word] if _LINK.match(word) else _GLUED.split(word))]


def _flag_name(word: str) -> str | None:
    """What stands behind the dashes if the word is meant as a flag; None for text and prose dashes."""
    found = _START.fullmatch(word)
    if not found:
        return None
    name = unicodedata.normalize("NFKC", found["name"])
    prose = found["dash"][0] in _DASHES and not name[0].isascii()
    return None if prose else name


class _Reading:
    """One pass over the words of a prompt, gathering values and faults."""

    def __init__(
        self, attached: tuple[str, ...], highs: Mapping[str, float], models: tuple[str, ...]
    ) -> None:
        self.attached = attached
        self.highs = highs
        self.models = models
        self.words: list[str] = []
        self.images: tuple[str, ...] = ()
        self.values: dict[str, FlagValue] = {}
        self.faults: list[str] = []

    def read(self, words: list[str]) -> None:
        at = 0
        while at < len(words):
            name = _flag_name(words[at])
            at += 1
            if name is None:
                self.words.append(words[at - 1])
            else:
                at = self._read_flag(name, words, at)
        self._take_images()

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
                self.faults.append(f"{quoted('--' + typed)}: `--{name}` takes no value; write it alone.")
            return at
        end = self._value_end(flag, words, at, bool(equals))
        self._take_value(flag, name, " ".join([inline] * bool(equals) + words[at:end]))
        return end

    def _value_end(self, flag: Flag, words: list[str], at: int, inline: bool) -> int:
        limit = len(words) if flag.kind is Kind.WORDS else at + (not inline)
        end = at
        while end < min(limit, len(words)) and _flag_name(words[end]) is None:
            end += 1
        return end

    def _take_value(self, flag: Flag, name: str, typed: str) -> None:
        high = self.highs.get(flag.name)
        value = flags.read_value(flag, typed, high)
        if not typed.strip():
            self.faults.append(f"`--{name}`: a value is missing; it must be {flags.allowed(flag, high)}.")
        elif value is None or _hides_flag(value):
            self.faults.append(_bad_value(flag, f"--{name} {typed}", high))
        elif flag.name == "model" and self.models and value not in self.models:
            self.faults.append(unknown_model(str(value), self.models))
        elif flag.kind is Kind.WORDS:
            before = self.values.get(flag.name, ())
            assert isinstance(before, tuple) and isinstance(value, tuple)
            self.values[flag.name] = tuple(dict.fromkeys(str(entry) for entry in (*before, *value)))
        else:
            self.values[flag.name] = value

    def _take_images(self) -> None:
        links: list[str] = []
        while self.words and (link := self._leading_image(self.words[0])) is not None:
            links.append(link)
            del self.words[0]
        self.images = tuple(dict.fromkeys((*self.attached, *links)))
        for word, after in zip(self.words, (*self.words[1:], ""), strict=False):
            if _LINK.fullmatch(word):
                self.faults.append(f"{quoted(word)}: image links go before the text; move it to the front.")
            elif name := _touching_flag(word, after):
                self.faults.append(f"{quoted(word)}: put a space before `--{name}`.")
        if len(self.images) > MAX_IMAGES:
            self.faults.append(
                f"{len(self.images)} image prompts were given; at most {MAX_IMAGES} are taken."
            )
        if not self.images and not any(_is_visible(word) for word in self.words):
            self.faults.append("The prompt is empty; say what to paint, for example `a red apple --ar 3:2`.")

    def _leading_image(self, word: str) -> str | None:
        if word in self.attached:
            return word
        found = _LINK.fullmatch(word)
        if not found:
            return None
        if fault := _link_fault(found["url"], found["scheme"]):
            self.faults.append(fault)
        return found["url"]


def _hides_flag(value: FlagValue) -> bool:
    """Whether a list holds what would be read as a flag once it is written out: ``--no=--tile``."""
    entries = value if isinstance(value, tuple) else ()
    return any(_flag_name(word) for entry in entries for word in str(entry).split())


def _touching_flag(word: str, after: str) -> str | None:
    """The flag in ``apple--ar 3:2``; ``well--known`` and ``yes--no`` are words."""
    name = word.rpartition("--")[2]
    flag = BY_SPELLING.get(name)
    if flag is None or "--" not in word or flag.kind not in (Kind.INTEGER, Kind.NUMBER, Kind.RATIO):
        return None
    return name if flags.read_value(flag, after) is not None else None


def _is_visible(word: str) -> bool:
    return any(unicodedata.category(char) not in ("Cf", "Mn", "Me") for char in word)


def _link_fault(url: str, scheme: str) -> str | None:
    if scheme.lower() not in ("http", "https"):
        return f"{quoted(url)}: only http and https links to pictures are taken."
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return None if host else f"{quoted(url)} is not a complete link; copy it again from the picture."


def _unknown_flag(name: str, *, helped: bool) -> str:
    typed = quoted(f"--{name}")
    if not helped:
        return f"{typed}: there is no such flag."
    if name.lower() in BY_SPELLING:
        return f"{typed}: flags are written in lowercase; write `--{name.lower()}`."
    if guess := nearest(name, tuple(BY_SPELLING)):
        return f"{typed}: there is no such flag; did you mean `--{guess}`?"
    spellings = ", ".join(
        f"--{spelling}"
        for flag in FLAGS
        for spelling in (flag.spellings if flag.kind is Kind.MODE else flag.spellings[:1])
    )
    return f"{typed}: there is no such flag. Flags are {spellings}."
