"""The prompt language: ``parse`` text into a frozen ``Prompt``, ``render`` it back.

``[image links] text [--flags]``, as people know it from Midjourney. Parsing never raises anything but
PromptError, whatever the text, and reports every fault at once. Choices of ours: a flag given twice counts as
written last (lists add up); words after a flag's value belong to the text; links stand before the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from bot.domain import flags, infotext
from bot.domain.flags import BY_NAME, BY_SPELLING, FLAGS, FlagValue
from bot.domain.permutations import expand, refuse_crowds
from bot.domain.reading import (
    MAX_IMAGES,
    REFERENCES,
    Known,
    Reading,
    bad_value,
    flag_name,
    nearest,
    printable,
    quoted,
    text_faults,
    unknown_name,
    words_of,
)
from bot.domain.sentence import Sentence, say
from bot.errors import PromptError

__all__ = [
    "MAX_IMAGES",
    "MAX_LENGTH",
    "REFERENCES",
    "Prompt",
    "dumps",
    "loads",
    "nearest",
    "option_fault",
    "out_of_range",
    "parse",
    "parse_all",
    "printable",
    "quoted",
    "render",
    "suffix_faults",
    "unknown_model",
]

MAX_LENGTH = 6000
"""Characters of a prompt; Discord's own limit for a command option."""
ENOUGH = 3000
"""Characters of an order's prompts after which no more faults are looked for, once there are some."""
MAX_SEED = 2**32
Review = Callable[["Prompt"], Iterable[Sentence]]
"""Further faults of what was understood: those that only the chosen model knows."""


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

    def number(self, name: str) -> float:
        """The value of a flag that always has a number. TypeError where it has none."""
        value = self.get(name)
        if not isinstance(value, int | float):
            raise TypeError(f"--{name} has no number")
        return float(value)

    def listed(self, name: str) -> tuple[str, ...]:
        """The entries of a list, empty when none was given."""
        value = self.get(name)
        return tuple(str(entry) for entry in value) if isinstance(value, tuple) else ()

    def with_values(self, **values: FlagValue | None) -> Prompt:
        """A copy with these flags set; None takes a flag away."""
        merged = {**self.values, **values}
        return replace(self, values={name: value for name, value in merged.items() if value is not None})


def parse(
    text: str,
    *,
    attached: tuple[str, ...] = (),
    lent: tuple[str, ...] = (),
    max_length: int = MAX_LENGTH,
    highs: Mapping[str, float] = MappingProxyType({}),
    models: tuple[str, ...] = (),
    styles: tuple[str, ...] = (),
    aliases: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, str] = MappingProxyType({}),
    suffix: str = "",
    review: Review | None = None,
) -> Prompt:
    """Read what a user typed; PromptError names every fault.

    ``attached`` are references to pictures that came beside the text: they stand first in ``images``, and
    with one the text may be empty. ``lent`` are references that only flags may name. ``highs`` lowers the
    upper ends of flags (by name) to what may be had. ``models`` and ``styles`` are the names that ``--model``
    and ``--style`` may take, ``aliases`` other names of models in lowercase; without any, every name passes.
    ``options`` are a user's own flags (``--name`` stands for a text), ``suffix`` comes behind each prompt and
    fills in flags that it lacks: a rendered prompt holds both, so leave them out when it is read again.
    ``review`` adds faults of what was understood: those which only the model knows.
    """
    shown = printable(text)
    typed = " ".join(with_options(text, options).split())
    if faults := tuple(text_faults(text, max_length)) or tuple(
        text_faults(typed, max(max_length, MAX_LENGTH))
    ):
        raise PromptError(faults, shown)
    known = Known(models, styles, aliases, highs)
    reading = Reading(attached, known, lent).read(words_of(infotext.as_typed(typed, (*models, *aliases))))
    reading.take_images()
    _add_suffix(reading, suffix, known)
    reading.check_text()
    if review is not None and not reading.unsettled:
        reading.faults += review(Prompt(reading.text, reading.images, reading.values))
    if reading.faults:
        raise PromptError(tuple(reading.faults), shown)
    return Prompt(reading.text, reading.images, reading.values)


def parse_all(
    text: str,
    read: Callable[[str], Prompt],
    *,
    options: Mapping[str, str] = MappingProxyType({}),
    emphasis: bool = False,
) -> tuple[Prompt, ...]:
    """Every prompt that a text with ``{a, b}`` and ``--repeat`` stands for; PromptError with all faults.

    ``read`` parses one (without the options, which are put in before). ``emphasis``: braces in the text
    weigh words, as NovelAI's models have it. A repeated seed goes on counting, so that no grid comes twice.
    """
    if faults := tuple(text_faults(text, MAX_LENGTH)):
        raise PromptError(faults, printable(text))
    prompts: list[Prompt] = []
    told: dict[str, None] = {}
    seen = 0
    for single in expand(with_options(text, options), emphasis=emphasis):
        if told and seen > ENOUGH:
            break
        seen += len(single)
        try:
            prompts += _repeated(read(single))
        except PromptError as error:
            told.update(dict.fromkeys(error.faults))
    if told:
        raise PromptError(tuple(told), printable(text))
    refuse_crowds(len(prompts), printable(text))
    return tuple(prompts)


def _repeated(prompt: Prompt) -> list[Prompt]:
    times = prompt.values.get("repeat", 1)
    seed = prompt.values.get("seed")
    once = prompt.with_values(repeat=None)
    if not isinstance(times, int) or not isinstance(seed, int):
        return [once] * int(str(times))
    step = int(prompt.number("n"))
    return [once.with_values(seed=(seed + step * turn) % MAX_SEED) for turn in range(times)]


def with_options(text: str, options: Mapping[str, str]) -> str:
    """The text with a user's own flags replaced by what they stand for, once; the table's flags go first."""
    own = {name: value for name, value in options.items() if name not in BY_SPELLING}
    if not own:
        return text
    return " ".join(own.get(flag_name(word) or "", word) for word in words_of(text))


def option_fault(name: str) -> Sentence | None:
    """What is wrong with the name of a user's own flag; None when it may be used."""
    if not (name.isascii() and name.replace("-", "").isalnum() and name == name.lower()) or not (
        name[:1].isalpha() and len(name) <= 32
    ):
        return say(
            "{typed} cannot be the name of an option; use 1 to 32 lowercase letters, digits and "
            "dashes, for example `mine`.",
            typed=quoted(name),
        )
    return (
        say("`--{name}` is a flag already; choose another name for your option.", name=name)
        if name in BY_SPELLING
        else None
    )


def suffix_faults(suffix: str, known: Known | None = None) -> tuple[Sentence, ...]:
    """What is wrong with a suffix; it needs no text of its own."""
    if faults := tuple(text_faults(suffix, MAX_LENGTH)):
        return faults
    reading = Reading(known=known).read(words_of(suffix))
    reading.take_images()
    faults = tuple(reading.faults)
    if reading.images:
        faults += (
            say(
                "{typed}: image links go before the text; move it to the front.",
                typed=quoted(reading.images[0]),
            ),
        )
    return faults


def _add_suffix(reading: Reading, suffix: str, known: Known) -> None:
    if not suffix.strip():
        return
    if faults := suffix_faults(suffix, known):
        reading.faults += [
            say("In your suffix (change it with /prefer suffix): {fault}", fault=fault) for fault in faults
        ]
    else:
        reading.fill(Reading(known=known).read(words_of(suffix)))


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


def unknown_model(typed: str, known: tuple[str, ...]) -> Sentence:
    """The sentence for a model that this server does not have."""
    return unknown_name("model", typed, known)


def out_of_range(name: str, value: FlagValue, high: float | None = None) -> Sentence:
    """The sentence for a flag's value that is well-formed but more than the model or server allows."""
    flag = BY_NAME[name]
    return bad_value(flag, f"--{flags.write(flag, value).lstrip('-')}", high)
