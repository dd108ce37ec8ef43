"""What makes a spec impossible, found before anything is queued; torch-free, shared by every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from engine.api import BLEND, MOST_PARTS, GenerationSpec, InvalidSpec, ModelInfo
from engine.masks import MASK, REFERENCE, START, size_of, unreadable
from engine.prompting import compositions, timeline
from engine.samplers import sampler_choice, sampler_name
from engine.sentence import Sentence, join, say

MAX_SEED = 2**32
MAX_GUIDANCE = 100.0
MAX_SCALE = 4
MAX_FEATHER = 512
MAX_WEIGHT = 4


def check_spec(spec: GenerationSpec, models: Mapping[str, ModelInfo]) -> None:
    """Raise InvalidSpec with one sentence per fault when no model in ``models`` can do ``spec``."""
    info = models.get(spec.model)
    if info is None:
        raise InvalidSpec(
            say(
                "There is no model {model!r}; choose one of {names}.", model=spec.model, names=_listed(models)
            )
        )
    faults = [fault for rule in _RULES for fault in rule(spec, info)]
    if faults:
        raise InvalidSpec(join(faults, " "))


def _listed(names: Mapping[str, ModelInfo] | tuple[str, ...]) -> str:
    return ", ".join(names)


def _seeds(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if not spec.seeds:
        yield say("A job needs at least one seed, one for each picture.")
    if any(not 0 <= seed < MAX_SEED for seed in spec.seeds):
        yield say("Seeds must lie between 0 and {most}.", most=MAX_SEED - 1)
    if spec.variation and not 0 <= spec.variation.seed < MAX_SEED:
        yield say("The variation seed must lie between 0 and {most}.", most=MAX_SEED - 1)


def _size(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    for side, value in ((say("width"), spec.width), (say("height"), spec.height)):
        if not info.min_size <= value <= info.max_size:
            yield say(
                "The {side} must lie between {low} and {high} pixels for {model}, not {value}.",
                side=side,
                low=info.min_size,
                high=info.max_size,
                model=info.name,
                value=value,
            )
        elif value % info.size_multiple:
            yield say(
                "The {side} must be a multiple of {raster} for {model}, not {value}.",
                side=side,
                raster=info.size_multiple,
                model=info.name,
                value=value,
            )


def _steps(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if not info.min_steps <= spec.steps <= info.max_steps:
        yield say(
            "The number of steps must lie between {least} and {most} for {model}, not {steps}.",
            least=info.min_steps,
            most=info.max_steps,
            model=info.name,
            steps=spec.steps,
        )


def _compositions(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    """At every step, since an edit may bring parts in; each is a row of its own in the forward pass."""
    if "AND" not in spec.prompt or not info.prompt_weights or not 1 <= spec.steps <= info.max_steps:
        return
    if any(len(compositions(text)) > MOST_PARTS for text in set(timeline(spec.prompt, spec.steps))):
        yield say("A prompt may join at most {most} parts with AND.", most=MOST_PARTS)


def _guidance(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if not (math.isfinite(spec.guidance_scale) and 0 <= spec.guidance_scale <= MAX_GUIDANCE):
        yield say(
            "The guidance scale must lie between 0 and {most:g}, not {scale:g}.",
            most=MAX_GUIDANCE,
            scale=spec.guidance_scale,
        )


def _sampler(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if sampler_name(spec.sampler) not in info.samplers:
        yield say(
            "{model} has no sampler {sampler!r}; choose one of {names}.",
            model=info.name,
            sampler=spec.sampler,
            names=sampler_choice(info.samplers),
        )


def _shares(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if not 0 < spec.stop <= 1:
        yield say(
            "The share of steps to stop after must lie above 0 and at most 1, not {share:g}.", share=spec.stop
        )
    if spec.init and not (spec.hires and spec.init.strength == 0) and not 0 < spec.init.strength <= 1:
        yield say(
            "The strength of an image prompt must lie above 0 and at most 1, not {strength:g}.",
            strength=spec.init.strength,
        )
    if spec.variation and not 0 <= spec.variation.strength <= 1:
        yield say(
            "The strength of a variation must lie between 0 and 1, not {strength:g}.",
            strength=spec.variation.strength,
        )
    if not spec.share > 0:
        yield say("A user's weight must be above 0, not {weight:g}.", weight=spec.share)


def _passes(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if spec.hires is None:
        return
    if not 1 <= spec.hires.scale <= MAX_SCALE:
        yield say(
            "A picture can be enlarged 1 to {most} times, not {scale:g}.",
            most=MAX_SCALE,
            scale=spec.hires.scale,
        )
    if not 0 <= spec.hires.strength <= 1:
        yield say(
            "The strength of a second pass must lie between 0 and 1, not {strength:g}.",
            strength=spec.hires.strength,
        )
    if info.hires and spec.hires.strength > 0 and _grown(spec, spec.hires.scale, info) > info.reach:
        yield say(
            "{model} cannot paint more than {most} pixels a side in a second pass.",
            model=info.name,
            most=info.reach,
        )


def _grown(spec: GenerationSpec, scale: float, info: ModelInfo) -> int:
    """The longer side of the second pass, in pixels; 0 where there is none."""
    if not 1 <= scale <= MAX_SCALE:
        return 0
    return round(max(spec.width, spec.height) * scale / info.size_multiple) * info.size_multiple


def _pictures(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if spec.init and size_of(spec.init.data) is None:
        yield unreadable(START)
    if any(size_of(reference.data) is None for reference in spec.references):
        yield unreadable(REFERENCE)


def _mask(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if spec.init is None or spec.init.mask is None:
        return
    picture, mask = size_of(spec.init.data), size_of(spec.init.mask)
    if mask is None:
        yield unreadable(MASK)
    elif picture is not None and picture != mask:
        sizes = [f"{width}x{height}" for width, height in (mask, picture)]
        yield say(
            "The mask has {mask} pixels and its picture {picture}; make them the same size.",
            mask=sizes[0],
            picture=sizes[1],
        )
    if not 0 <= spec.init.feather <= MAX_FEATHER:
        yield say(
            "A mask's edge is softened over 0 to {most} pixels, not {feather}.",
            most=MAX_FEATHER,
            feather=spec.init.feather,
        )


def _blend(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if not spec.blend:
        return
    if not info.blend:
        yield say("{model} cannot mix pictures; leave them out.", model=info.name)
    least, most = BLEND
    if not least <= len(spec.blend) <= most:
        yield say(
            "A blend takes {least} to {most} pictures, not {count}.",
            least=least,
            most=most,
            count=len(spec.blend),
        )
    if spec.init:
        yield say("A blend has no picture to start from; leave the picture out, or add it to the blend.")
    for place, picture in enumerate(spec.blend, 1):
        if size_of(picture) is None:
            yield unreadable(say("Picture {place} of the blend", place=place))


def _weights(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    for name, weight in spec.loras:
        if not (math.isfinite(weight) and abs(weight) <= MAX_WEIGHT):
            yield say(
                "The weight of LoRA {name!r} must lie within {most} of 0, not at {weight:g}.",
                name=name,
                most=MAX_WEIGHT,
                weight=weight,
            )
    for reference in spec.references:
        if not 0 <= reference.weight <= MAX_WEIGHT:
            yield say(
                "The weight of a reference must lie between 0 and {most}, not {weight:g}.",
                most=MAX_WEIGHT,
                weight=reference.weight,
            )


def _abilities(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    whole = spec.init is not None and spec.init.mask is None and spec.init.strength > 0
    if whole and not info.image_to_image:
        yield say("{model} cannot start from a picture; leave the picture out.", model=info.name)
    if spec.negative_prompt and not info.negative_prompt:
        yield say("{model} takes no negative prompt; leave --no out.", model=info.name)
    if spec.tile and not info.tile:
        yield say("{model} cannot paint a picture whose edges meet; leave --tile out.", model=info.name)
    if spec.init and spec.init.mask is not None and not info.inpaint:
        yield say("{model} cannot repaint a part of a picture; leave the mask out.", model=info.name)
    if spec.hires and spec.hires.strength > 0 and not info.hires:
        yield say("{model} cannot paint a picture larger in a second pass.", model=info.name)
    for kind in dict.fromkeys(reference.kind for reference in spec.references):
        if kind not in info.references:
            yield say(
                "{model} has no adapter for {kind} references; leave them out.",
                model=info.name,
                kind=kind.said,
            )


def _loras(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    for name, _ in spec.loras:
        if name in info.unfit_loras:
            yield say(
                "LoRA {name!r} does not fit {model}: {reason}.",
                name=name,
                model=info.name,
                reason=info.unfit_loras[name],
            )
        elif name not in info.loras:
            about: dict[str, object] = {"model": info.name, "name": name, "names": _listed(info.loras)}
            yield (
                say("{model} has no LoRA {name!r}; choose one of {names}.", **about)
                if info.loras
                else say("{model} has no LoRA {name!r}; none fits it.", **about)
            )


def _course(spec: GenerationSpec, info: ModelInfo) -> Iterator[Sentence]:
    if spec.stop < 1 and not info.stop:
        yield say("{model} cannot stop early; leave --stop out.", model=info.name)
    if spec.variation and not info.stop:
        yield say("{model} cannot vary a seed; leave the variation out.", model=info.name)


_Rule = Callable[[GenerationSpec, ModelInfo], Iterator[Sentence]]
_RULES: tuple[_Rule, ...] = (
    _seeds,
    _size,
    _steps,
    _compositions,
    _guidance,
    _sampler,
    _shares,
    _passes,
    _pictures,
    _mask,
    _blend,
    _weights,
    _abilities,
    _loras,
    _course,
)
