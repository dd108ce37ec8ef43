"""What was understood of a prompt, in plain words: flag by flag, what the model leaves aside, the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bot.config import Settings
from bot.domain import flags, policy, weights
from bot.domain.flags import BY_NAME
from bot.domain.job import Action
from bot.domain.policy import Unit
from bot.domain.prompt import REFERENCES, Prompt
from bot.domain.sentence import Sentence, say
from bot.services import specs
from engine.api import ModelInfo, sampler_name


@dataclass(frozen=True, slots=True)
class Note:
    """Something typed (empty where nothing was), and what is to be said of it."""

    typed: str
    says: str
    """A ``Sentence``, or the flag table's help."""
    zh: str = ""
    """The same in Chinese, where the flag table has it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer. Sizes in pixels; ``credits`` in ``unit``, None where only the engine can estimate."""

    model: str
    understood: tuple[Note, ...]
    ignored: tuple[Note, ...]
    """What the model leaves aside, and why."""
    faults: tuple[Sentence, ...]
    """Why it could not be ordered as it stands."""
    text: str
    """What the model is given."""
    negative: str
    width: int
    height: int
    """Of the picture one gets: after the engine's upscaler."""
    steps: int
    guidance: float
    sampler: str
    seed: int | None
    """None: by chance."""
    images: int
    credits: float | None
    unit: Unit


def explain(
    prompt: Prompt, model: ModelInfo, settings: Settings, *, gpu_seconds: float | None = None
) -> Explanation:
    """What ``prompt`` means on ``model``; ``gpu_seconds``: the engine's estimate, for that kind of credit."""
    said = specs.wording(prompt, model, settings)
    width, height = specs.size_of(prompt, model)
    starts = bool(prompt.images) and specs.uses_pictures(prompt)
    return Explanation(
        model=model.name,
        understood=tuple(_understood(prompt, model, settings)),
        ignored=tuple(_ignored(prompt, model, settings)),
        faults=specs.faults(prompt, model, settings, starts),
        text=said.text,
        negative=said.negative,
        width=width * model.upscale,
        height=height * model.upscale,
        steps=specs.steps_of(prompt, model, settings),
        guidance=specs.guidance_of(prompt, model, settings),
        sampler=sampler_name(str(prompt.get("sampler") or model.sampler)),
        seed=None if prompt.get("seed") is None else int(prompt.number("seed")),
        images=specs.count_of(prompt),
        credits=price(prompt, settings, gpu_seconds),
        unit=Unit(settings.quota.unit),
    )


def price(prompt: Prompt, settings: Settings, gpu_seconds: float | None = None) -> float | None:
    """Credits of one job; None where they are device seconds and nobody has estimated those."""
    unit, quota = Unit(settings.quota.unit), settings.quota
    if unit is Unit.GPU_SECONDS and gpu_seconds is None:
        return None
    return policy.cost(
        Action.IMAGINE,
        specs.count_of(prompt),
        relaxed=prompt.get("speed") == "relax",
        unit=unit,
        gpu_seconds=gpu_seconds or 0.0,
        relax_factor=quota.relax_factor,
        turbo_factor=quota.turbo_factor if prompt.get("speed") == "turbo" else 1.0,
    )


def _understood(prompt: Prompt, model: ModelInfo, settings: Settings) -> Iterator[Note]:
    parts = weights.parts(prompt.text)
    for part in parts:
        alone = len(parts) == 1
        yield Note(part.text, say("what to paint") if alone else say("weight {weight:g}", weight=part.weight))
    for name, value in prompt.values.items():
        flag = BY_NAME[name]
        yield Note(flags.write(flag, value), flag.help, flag.zh)
    style, profile = specs.style_of(prompt, model, settings)
    if style:
        words = ", ".join(piece for piece in (profile.prefix, profile.suffix) if piece)
        yield Note("", say("the style {name} adds: {words}", name=style, words=words))


def _ignored(prompt: Prompt, model: ModelInfo, settings: Settings) -> Iterator[Note]:
    given = prompt.values
    for exact, others in _REPLACES.items():
        for name in (name for name in others if exact in given and name in given):
            yield _note(prompt, name, say("left aside, since `--{by}` says it exactly", by=exact))
    if model.guidance_scale <= 1 and "cfg" not in given:
        for name in ("stylize", "chaos", "weird", "exp", "no"):
            if name in given:
                yield _note(
                    prompt, name, say("without effect: {model} paints without guidance", model=model.name)
                )
    if "iw" in given and not prompt.images:
        yield _note(prompt, "iw", say("without effect: there is no picture in front of the text"))
    for reference in REFERENCES:
        weight = specs.WEIGHTS[reference]
        if weight in given and reference not in given:
            yield _note(prompt, weight, say("without effect: there is no `--{flag}`", flag=reference))
    if "sref" in given and not model.style_apart:
        yield _note(
            prompt,
            "sref",
            say(
                "{model} cannot take the style alone: what the picture shows comes with it", model=model.name
            ),
        )
    yield from _ignored_words(prompt, model, settings)


_REPLACES = {
    "steps": ("quality", "draft"),
    "size": ("ar",),
    "cfg": ("stylize", "chaos", "weird", "exp"),
}


def _ignored_words(prompt: Prompt, model: ModelInfo, settings: Settings) -> Iterator[Note]:
    text, _ = weights.loras(prompt.text)
    if not model.prompt_weights and weights.has_weights(text):
        yield Note(
            "", say("{model} reads all words alike: weights in the text are left out", model=model.name)
        )
    unwanted = weights.negative(prompt.text, weighted=False)
    if unwanted and not model.negative_prompt:
        yield Note(
            ", ".join(unwanted),
            say("{model} has no negative prompt: parts of negative weight are left out", model=model.name),
        )
    name, profile = specs.style_of(prompt, model, settings)
    if lacking := [lora for lora in profile.loras if lora not in model.loras]:
        yield Note(
            f"--style {name}",
            say("{model} lacks LoRAs of this style: {names}", model=model.name, names=", ".join(lacking)),
        )
    if "niji" in prompt.values and name:
        yield _note(
            prompt, "niji", say("there is no anime model here; the style {style} takes its place", style=name)
        )


def _note(prompt: Prompt, name: str, says: Sentence) -> Note:
    return Note(flags.write(BY_NAME[name], prompt.values[name]), says)
