"""Prompts for a picture: its own parameters if it has them, a captioner's words, else what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from bot.config import Settings
from bot.domain import essence
from bot.domain.flags import BY_NAME, write
from bot.domain.prompt import Prompt, parse, printable, render
from bot.domain.sentence import Sentence, say, sentence_of
from bot.errors import PromptError
from bot.services import metadata, specs
from bot.services.looks import Looks, looks
from bot.services.metadata import Found
from engine.api import EngineError, ModelInfo

COUNT = 4
Captioner = Callable[[bytes, int], Awaitable[tuple[str, ...]]]
"""An encoded picture and how many captions are wanted, to at most as many; EngineError says why not."""
_KINDS = ("a painting", "a photograph", "an illustration", "an abstract composition", "a poster", "a drawing")
_MANNERS = ("oil on canvas", "natural light", "flat colors, clean lines", "geometric", "bold layout", "ink")
_SHAPE_FLAGS = ("ar", "size")


@dataclass(frozen=True, slots=True)
class Description:
    """Prompts as one types them, and where they come from, said plainly."""

    prompts: tuple[str, ...]
    method: Sentence


@dataclass(frozen=True, slots=True)
class Origin:
    """What a picture's own text says, as it can be painted here; ``left_out`` cannot be."""

    prompt: str
    source: str
    model: str
    left_out: tuple[str, ...]


class Describer:
    """``caption`` is the configured captioner, or None."""

    def __init__(
        self, settings: Settings, models: Callable[[], Mapping[str, ModelInfo]], caption: Captioner | None
    ) -> None:
        self._settings = settings
        self._models = models
        self._caption = caption

    async def describe(self, png: bytes, texts: Mapping[str, str], turn: int = 0) -> Description:
        """Four prompts; ``texts`` are the picture's own, ``turn`` counts how often it was asked."""
        seen = await asyncio.to_thread(looks, png)
        if (origin := await self.origin(texts)) is not None:
            return Description(
                await asyncio.to_thread(_around, origin.prompt, seen, turn),
                say("From the parameters that {source} wrote into the picture.", source=origin.source),
            )
        if self._caption is not None:
            try:
                captions = await self._caption(png, COUNT)
                prompts = tuple(_with_shape(caption, seen) for caption in captions)
                if prompts:
                    return Description(prompts, say("By the captioner of this server."))
            except EngineError as error:
                return Description(
                    _guesses(seen, turn),
                    say(
                        "The captioner failed ({reason}), so these are guesses from colours, light and shape "
                        "alone.",
                        reason=sentence_of(error),
                    ),
                )
        return Description(
            _guesses(seen, turn),
            say(
                "The picture holds no parameters and this server has no captioner, so these are guesses from "
                "colours, light and shape alone; what it shows is not known."
            ),
        )

    async def origin(self, texts: Mapping[str, str]) -> Origin | None:
        """The prompt that would make such a picture again here; None where it says nothing."""
        # Anybody may write a text that takes long to read.
        return await asyncio.to_thread(self._read, texts, self._models())

    def _read(self, texts: Mapping[str, str], models: Mapping[str, ModelInfo]) -> Origin | None:
        found = metadata.of_texts(texts, models=tuple(models))
        return None if found is None else self._fitted(found, models)

    def _fitted(self, found: Found, models: Mapping[str, ModelInfo]) -> Origin:
        """What the model here cannot do is taken out flag by flag, so that no press ends in a fault."""
        prompt, left = parse(found.prompt), []
        read = specs.reader(self._settings, models)
        for name in ("sampler", "size", "steps", "cfg", "tile", "no", "style", "preset", "model"):
            if name in prompt.values and not _painted(read, prompt):
                left.append(write(BY_NAME[name], prompt.values[name]))
                prompt = prompt.with_values(**{name: None})
        return Origin(render(prompt), found.source, found.model, tuple(left))


def _painted(read: Callable[[str], Prompt], prompt: Prompt) -> bool:
    try:
        read(render(prompt))
    except PromptError:
        return False
    return True


def _around(typed: str, seen: Looks, turn: int) -> tuple[str, ...]:
    """The prompt itself, then without its seed, then its words alone, then the shorter ones, until four."""
    prompt = parse(typed)
    shape = {name: value for name, value in prompt.values.items() if name in _SHAPE_FLAGS}
    words = Prompt(prompt.text, (), shape) if prompt.text else prompt.with_values(seed=None)
    candidates = [render(prompt), render(prompt.with_values(seed=None)), render(words)]
    candidates += [render(replace(words, text=text)) for text in essence.shorter(prompt.text)]
    colours = " and ".join(seen.colours[:2])
    candidates += [render(replace(words, text=f"{prompt.text}, {extra}")) for extra in (colours, seen.light)]
    distinct = list(dict.fromkeys(candidates))
    first, rest = distinct[0], distinct[1:]
    turned = rest[turn % len(rest) :] + rest[: turn % len(rest)]
    return (first, *turned)[:COUNT]


def _guesses(seen: Looks, turn: int) -> tuple[str, ...]:
    return tuple(_guessed(seen, turn * COUNT + number) for number in range(COUNT))


def _guessed(seen: Looks, number: int) -> str:
    kind, manner = _KINDS[number % len(_KINDS)], _MANNERS[number % len(_MANNERS)]
    listed = (
        ", ".join(seen.colours[:-1]) + " and " + seen.colours[-1]
        if seen.colours[1:]
        else "".join(seen.colours)
    )
    parts = [f"{kind} in {listed}" if listed else kind, seen.light, seen.texture, manner]
    rounds = number // len(_KINDS)
    turned = parts[:1] + parts[1 + rounds % 3 :] + parts[1 : 1 + rounds % 3]
    return _with_shape(", ".join(turned), seen)


def _with_shape(text: str, seen: Looks) -> str:
    """A caption is text: nothing in it may be read as a flag."""
    plain = " ".join(printable(text).replace("--", " ").split())
    return render(Prompt(plain, (), {} if seen.ratio == (1, 1) else {"ar": seen.ratio}))


def wanted_texts(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those of a picture's texts that say how it was made; others may say who took it, and where."""
    return ((key, value) for key, value in texts.items() if key in metadata.KEYS)
