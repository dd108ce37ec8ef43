"""What makes a spec impossible, found before anything is queued; torch-free, shared by every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from engine.api import BLEND, GenerationSpec, InvalidSpec, ModelInfo
from engine.masks import size_of
from engine.prompting import compositions, timeline
from engine.samplers import sampler_choice, sampler_name

MAX_SEED = 2**32
MAX_GUIDANCE = 100.0
MAX_SCALE = 4
MAX_FEATHER = 512
MAX_WEIGHT = 4
MAX_PARTS = 8
UNREADABLE = "cannot be read; send it as PNG, JPEG or WebP."


def check_spec(spec: GenerationSpec, models: Mapping[str, ModelInfo]) -> None:
    """Raise InvalidSpec with one sentence per fault when no model in ``models`` can do ``spec``."""
    info = models.get(spec.model)
    if info is None:
        raise InvalidSpec(f"There is no model {spec.model!r}; choose one of {_listed(models)}.")
    faults = [fault for rule in _RULES for fault in rule(spec, info)]
    if faults:
        raise InvalidSpec(" ".join(faults))


def _listed(names: Mapping[str, ModelInfo] | tuple[str, ...]) -> str:
    return ", ".join(names)


def _choice(names: tuple[str, ...]) -> str:
    return f"choose one of {_listed(names)}" if names else "none fits it"


def _seeds(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if not spec.seeds:
        yield "A job needs at least one seed, one for each picture."
    if any(not 0 <= seed < MAX_SEED for seed in spec.seeds):
        yield f"Seeds must lie between 0 and {MAX_SEED - 1}."
    if spec.variation and not 0 <= spec.variation.seed < MAX_SEED:
        yield f"The variation seed must lie between 0 and {MAX_SEED - 1}."


def _size(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    for name, value in (("width", spec.width), ("height", spec.height)):
        if not info.min_size <= value <= info.max_size:
            yield (
                f"The {name} must lie between {info.min_size} and {info.max_size} pixels for "
                f"{info.name}, not {value}."
            )
        elif value % info.size_multiple:
            yield f"The {name} must be a multiple of {info.size_multiple} for {info.name}, not {value}."


def _steps(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if not 1 <= spec.steps <= info.max_steps:
        yield (
            f"The number of steps must lie between 1 and {info.max_steps} for {info.name}, not {spec.steps}."
        )


def _compositions(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    """At every step, since an edit may bring parts in; each is a row of its own in the forward pass."""
    if "AND" not in spec.prompt or not info.prompt_weights or not 1 <= spec.steps <= info.max_steps:
        return
    if any(len(compositions(text)) > MAX_PARTS for text in set(timeline(spec.prompt, spec.steps))):
        yield f"A prompt may join at most {MAX_PARTS} parts with AND."


def _guidance(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if not (math.isfinite(spec.guidance_scale) and 0 <= spec.guidance_scale <= MAX_GUIDANCE):
        yield f"The guidance scale must lie between 0 and {MAX_GUIDANCE:g}, not {spec.guidance_scale:g}."


def _sampler(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if sampler_name(spec.sampler) not in info.samplers:
        yield f"{info.name} has no sampler {spec.sampler!r}; choose one of {sampler_choice(info.samplers)}."


def _shares(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if not 0 < spec.stop <= 1:
        yield f"The share of steps to stop after must lie above 0 and at most 1, not {spec.stop:g}."
    if spec.init and not (spec.hires and spec.init.strength == 0) and not 0 < spec.init.strength <= 1:
        yield f"The strength of an image prompt must lie above 0 and at most 1, not {spec.init.strength:g}."
    if spec.variation and not 0 <= spec.variation.strength <= 1:
        yield f"The strength of a variation must lie between 0 and 1, not {spec.variation.strength:g}."
    if not spec.share > 0:
        yield f"A user's weight must be above 0, not {spec.share:g}."


def _passes(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if spec.hires is None:
        return
    if not 1 <= spec.hires.scale <= MAX_SCALE:
        yield f"A picture can be enlarged 1 to {MAX_SCALE} times, not {spec.hires.scale:g}."
    if not 0 <= spec.hires.strength <= 1:
        yield f"The strength of a second pass must lie between 0 and 1, not {spec.hires.strength:g}."
    if info.hires and spec.hires.strength > 0 and _grown(spec, spec.hires.scale, info) > info.reach:
        yield f"{info.name} cannot paint more than {info.reach} pixels a side in a second pass."


def _grown(spec: GenerationSpec, scale: float, info: ModelInfo) -> int:
    """The longer side of the second pass, in pixels; 0 where there is none."""
    if not 1 <= scale <= MAX_SCALE:
        return 0
    return round(max(spec.width, spec.height) * scale / info.size_multiple) * info.size_multiple


def _pictures(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if spec.init and size_of(spec.init.data) is None:
        yield f"The picture to start from {UNREADABLE}"
    if any(size_of(reference.data) is None for reference in spec.references):
        yield f"A reference picture {UNREADABLE}"


def _mask(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if spec.init is None or spec.init.mask is None:
        return
    picture, mask = size_of(spec.init.data), size_of(spec.init.mask)
    if mask is None:
        yield f"The mask {UNREADABLE}"
    elif picture is not None and picture != mask:
        sizes = [f"{width}x{height}" for width, height in (mask, picture)]
        yield f"The mask has {sizes[0]} pixels and its picture {sizes[1]}; make them the same size."
    if not 0 <= spec.init.feather <= MAX_FEATHER:
        yield f"A mask's edge is softened over 0 to {MAX_FEATHER} pixels, not {spec.init.feather}."


def _blend(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if not spec.blend:
        return
    if not info.blend:
        yield f"{info.name} cannot mix pictures; leave them out."
    least, most = BLEND
    if not least <= len(spec.blend) <= most:
        yield f"A blend takes {least} to {most} pictures, not {len(spec.blend)}."
    if spec.init:
        yield "A blend has no picture to start from; leave the picture out, or add it to the blend."
    for place, picture in enumerate(spec.blend, 1):
        if size_of(picture) is None:
            yield f"Picture {place} of the blend {UNREADABLE}"


def _weights(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    for name, weight in spec.loras:
        if not (math.isfinite(weight) and abs(weight) <= MAX_WEIGHT):
            yield f"The weight of LoRA {name!r} must lie within {MAX_WEIGHT} of 0, not at {weight:g}."
    for reference in spec.references:
        if not 0 <= reference.weight <= MAX_WEIGHT:
            yield (
                f"The weight of a reference must lie between 0 and {MAX_WEIGHT}, not {reference.weight:g}."
            )


def _abilities(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if spec.init and spec.init.strength > 0 and not info.image_to_image:
        yield f"{info.name} cannot start from a picture; leave the picture out."
    if spec.negative_prompt and not info.negative_prompt:
        yield f"{info.name} takes no negative prompt; leave --no out."
    if spec.tile and not info.tile:
        yield f"{info.name} cannot paint a picture whose edges meet; leave --tile out."
    if spec.init and spec.init.mask is not None and not info.inpaint:
        yield f"{info.name} cannot repaint a part of a picture; leave the mask out."
    if spec.hires and spec.hires.strength > 0 and not info.hires:
        yield f"{info.name} cannot paint a picture larger in a second pass."
    for kind in dict.fromkeys(reference.kind for reference in spec.references):
        if kind not in info.references:
            reason = f": {info.unfit_references}" if info.unfit_references else "; leave them out"
            yield f"{info.name} has no adapter for {kind} references{reason}."


def _loras(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    for name, _ in spec.loras:
        if name in info.unfit_loras:
            yield f"LoRA {name!r} does not fit {info.name}: {info.unfit_loras[name]}."
        elif name not in info.loras:
            yield f"{info.name} has no LoRA {name!r}; {_choice(info.loras)}."


def _course(spec: GenerationSpec, info: ModelInfo) -> Iterator[str]:
    if spec.stop < 1 and not info.stop:
        yield f"{info.name} cannot stop early; leave --stop out."
    if spec.variation and not info.stop:
        yield f"{info.name} cannot vary a seed; leave the variation out."


_Rule = Callable[[GenerationSpec, ModelInfo], Iterator[str]]
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
