"""Prompt + model -> GenerationSpec: what each flag means in numbers.

| flag | becomes |
|---|---|
| ``--ar W:H`` | width and height of about the native area, on the model's raster, within its limits |
| ``--quality q`` | steps x q |
| ``--steps n`` | steps, in place of the model's (``--quality`` is left aside) |
| ``--stylize s`` | guidance x 0.6 at 0, x 1 at 100 (the model's own), x 1.8 at 1000, straight lines between |
| ``--chaos c`` | the part of the guidance above 1 shrinks by up to 60 % at 100 (see below) |
| ``--no a, b`` | negative prompt |
| ``--iw w`` | strength 0.6 ** w: 1 ignores the picture, 0.22 stays closest |
| ``--stop p`` | share of the steps |

Classifier-free guidance trades diversity for fidelity (Ho & Salimans 2022, "Classifier-Free Diffusion
Guidance"), so less of it spreads a grid. Several image prompts are fitted to the canvas and averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bot.config import Settings
from bot.domain.job import Action, Job
from bot.domain.prompt import Prompt, out_of_range, quoted, render, unknown_model
from bot.errors import PromptError
from engine.api import GenerationSpec, InitImage, Lane, ModelInfo

VARIATION_STRENGTH = 0.65
"""``InitImage.strength`` of V: the layout of the picture stays, its details are painted anew."""
MAX_GUIDANCE = 100.0


def model_of(prompt: Prompt, models: Mapping[str, ModelInfo], default: str) -> ModelInfo:
    """The model a prompt asks for, or the default; PromptError with the names there are."""
    typed = prompt.get("model")
    if typed is None:
        return models.get(default) or next(iter(models.values()))
    if str(typed) not in models:
        raise PromptError((unknown_model(str(typed), tuple(models)),), render(prompt))
    return models[str(typed)]


def check(prompt: Prompt, model: ModelInfo, settings: Settings, *, pictures: int) -> None:
    """PromptError with everything that the model or this server cannot do; ``pictures`` it starts from."""
    if faults := tuple(_faults(prompt, model, settings, pictures)):
        raise PromptError(faults, render(prompt))


def count_of(prompt: Prompt) -> int:
    """Pictures of the grid."""
    return int(_number(prompt, "n"))


def uses_pictures(prompt: Prompt) -> bool:
    """Whether image prompts count at all: ``--iw 0`` follows the text alone."""
    return _number(prompt, "iw") > 0


def input_strength(prompt: Prompt, action: Action) -> float:
    """How far a job leaves the pictures that it starts from, in (0, 1]."""
    return VARIATION_STRENGTH if action is Action.VARIATION else round(0.6 ** _number(prompt, "iw"), 4)


def build(
    job: Job,
    model: ModelInfo,
    settings: Settings,
    *,
    lane: str = "fast",
    init: InitImage | None = None,
) -> GenerationSpec:
    """The spec of a job: a function of its row, so that what is gone can be made again."""
    prompt = job.prompt
    width, height = size_of(prompt, model)
    own = settings.models.get(model.name)
    negative = [str(word) for word in _words(prompt)] + (
        [own.negative_prompt] if own and own.negative_prompt else []
    )
    return GenerationSpec(
        job_id=job.id,
        model=model.name,
        prompt=prompt.text,
        seeds=job.seeds,
        width=width,
        height=height,
        steps=steps_of(prompt, model, settings),
        guidance_scale=guidance_of(prompt, model),
        sampler=model.sampler,
        negative_prompt=", ".join(negative) if model.negative_prompt else "",
        init=init,
        stop=_number(prompt, "stop") / 100,
        tile=bool(prompt.get("tile")),
        user=str(job.requester.user_id),
        lane=Lane(lane),
    )


def size_of(prompt: Prompt, model: ModelInfo) -> tuple[int, int]:
    """Width and height in pixels: the native area in the wanted shape, on the raster, within the limits."""
    ratio = prompt.get("ar")
    wide, high = ratio if isinstance(ratio, tuple) else (1, 1)
    shape = math.sqrt(int(wide) / int(high))
    least, most = model.min_size, model.max_size
    largest = max(shape, 1 / shape) * model.native_size
    area = model.native_size * min(1.0, most / largest)
    return _on_raster(area * shape, model, least, most), _on_raster(area / shape, model, least, most)


def steps_of(prompt: Prompt, model: ModelInfo, settings: Settings) -> int:
    """Number of denoising steps, at least 1."""
    most = min(model.max_steps, settings.limits.max_steps)
    if (steps := prompt.get("steps")) is not None:
        return min(int(float(str(steps))), most)
    return max(1, min(round(model.steps * _number(prompt, "quality")), most))


def guidance_of(prompt: Prompt, model: ModelInfo) -> float:
    """The guidance scale after --stylize and --chaos; models without guidance (<= 1) stay as they are."""
    if model.guidance_scale <= 1:
        return model.guidance_scale
    style, chaos = _number(prompt, "stylize"), _number(prompt, "chaos")
    factor = 0.6 + 0.4 * style / 100 if style <= 100 else 1 + 0.8 * (style - 100) / 900
    scale = max(1.0, model.guidance_scale * factor)
    return round(min(1 + (scale - 1) * (1 - 0.6 * chaos / 100), MAX_GUIDANCE), 4)


def _faults(prompt: Prompt, model: ModelInfo, settings: Settings, pictures: int) -> Iterator[str]:
    most = {"steps": min(model.max_steps, settings.limits.max_steps), "n": settings.limits.max_images}
    for name, high in most.items():
        value = prompt.get(name)
        if value is not None and float(str(value)) > high:
            yield out_of_range(name, value, high)
    if len(prompt.text) > settings.limits.max_prompt:
        yield (
            f"The prompt has {len(prompt.text):,} characters; at most {settings.limits.max_prompt:,} "
            "are taken. Please shorten it."
        )
    if pictures and not model.image_to_image:
        yield (
            f"The model {quoted(model.name)} cannot start from a picture; "
            "leave the picture out, or choose another `--model`."
        )
    if "no" in prompt.values and not model.negative_prompt:
        yield (
            f"The model {quoted(model.name)} cannot honour `--no`; leave it out, or choose another `--model`."
        )


def _number(prompt: Prompt, name: str) -> float:
    value = prompt.get(name)
    assert isinstance(value, int | float), name
    return float(value)


def _words(prompt: Prompt) -> tuple[object, ...]:
    words = prompt.get("no")
    return words if isinstance(words, tuple) else ()


def _on_raster(side: float, model: ModelInfo, least: int, most: int) -> int:
    raster = model.size_multiple
    low, high = math.ceil(least / raster), most // raster
    return max(low, min(round(side / raster), high)) * raster
