"""Prompt + model -> GenerationSpec: what each flag means in numbers (``means`` in the flag table, in words).

Classifier-free guidance trades diversity for fidelity (Ho & Salimans 2022, "Classifier-Free Diffusion
Guidance"), so less of it spreads a grid. Several image prompts are fitted to the canvas and averaged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from bot import config
from bot.config import Settings
from bot.domain import weights
from bot.domain.job import PAINTS_FROM, Action, Job, Place
from bot.domain.preferences import Preferences
from bot.domain.prompt import (
    REFERENCES,
    Prompt,
    Review,
    out_of_range,
    parse,
    parse_all,
    printable,
    quoted,
    render,
    unknown_model,
)
from bot.domain.reading import Known
from bot.domain.sentence import Sentence, say
from bot.domain.styles import ANIME, BUILT_IN, Style
from bot.errors import PromptError
from engine.api import (
    BLEND,
    MOST_PARTS,
    GenerationSpec,
    Hires,
    InitImage,
    Lane,
    ModelInfo,
    Reference,
    ReferenceKind,
    sampler_choice,
    sampler_name,
)

VARIATION_STRENGTH = 0.65
"""``InitImage.strength`` of V: the layout of the picture stays, its details are painted anew."""
MAX_GUIDANCE = 100.0
DRAFT = 0.5
"""Share of the steps that --draft leaves."""
ADAPTER_SCALE = 0.6
"""Scale of an IP-Adapter at weight 100: beside the text, not in its place."""
KINDS = {"sref": ReferenceKind.STYLE, "cref": ReferenceKind.CHARACTER, "oref": ReferenceKind.CHARACTER}
WEIGHTS = {"sref": "sw", "cref": "cw", "oref": "ow"}
DEFAULT_PRESET = "default"
NO_PRESET = "none"
NO_WISHES = Preferences()

_SHARE = re.compile(r"::(\d{1,4}(?:\.\d{1,4})?)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wording:
    """What the model is told: text, negative prompt, LoRAs by name with their weights."""

    text: str
    negative: str
    loras: tuple[tuple[str, float], ...]


def read(
    text: str,
    settings: Settings,
    models: Mapping[str, ModelInfo],
    *,
    attached: tuple[str, ...] = (),
    lent: tuple[str, ...] = (),
    wishes: Preferences = NO_WISHES,
) -> tuple[Prompt, ...]:
    """Every prompt that a typed text stands for, on this server; PromptError with all faults at once.

    More than one (``{a, b}``, ``--repeat``) is an order to be confirmed first.
    """
    if (most := settings.limits.max_prompt) < len(text):
        raise PromptError(
            (
                say(
                    "The prompt has {length:,} characters; at most {most:,} are taken. Please shorten it.",
                    length=len(text),
                    most=most,
                ),
            ),
            printable(text),
        )
    one = reader(settings, models, attached=attached, lent=lent, wishes=wishes)
    return parse_all(text, one, options=wishes.options, emphasis=_emphasis(text, settings, models))


def reader(
    settings: Settings,
    models: Mapping[str, ModelInfo],
    *,
    attached: tuple[str, ...] = (),
    lent: tuple[str, ...] = (),
    wishes: Preferences = NO_WISHES,
) -> Callable[[str], Prompt]:
    """``parse`` as this server has it: faults that only the chosen model knows come in the same answer."""
    named = known(settings, models)
    read_one = partial(
        parse,
        attached=attached,
        lent=lent,
        max_length=settings.limits.max_prompt,
        highs=named.highs,
        models=named.models,
        styles=named.styles,
        aliases=named.aliases,
        suffix=wishes.suffix,
        review=review(settings, models, wishes),
    )
    return lambda text: with_defaults(read_one(text), wishes, settings, models)


def known(settings: Settings, models: Mapping[str, ModelInfo]) -> Known:
    """The names that flags may take on this server."""
    return Known(tuple(models), tuple(styles_of(settings)), aliases_of(settings, models), highs(settings))


def with_defaults(
    prompt: Prompt, wishes: Preferences, settings: Settings, models: Mapping[str, ModelInfo]
) -> Prompt:
    """The prompt with a user's preferences where it says nothing; a model that is gone is left to the server.

    What names a model by its style or --niji keeps that one.
    """
    implied = "niji" in prompt.values or _implied(prompt, models, settings) is not None
    if implied or wishes.model not in models:
        wishes = replace(wishes, model="")
    return wishes.fill(prompt)


def highs(settings: Settings) -> dict[str, float]:
    """Upper ends of flags that the server has lowered."""
    return {"n": settings.limits.max_images, "steps": settings.limits.max_steps}


def review(settings: Settings, models: Mapping[str, ModelInfo], wishes: Preferences = NO_WISHES) -> Review:
    """The faults of a prompt that its own model knows, for ``parse``."""

    def told(prompt: Prompt) -> tuple[Sentence, ...]:
        prompt = with_defaults(prompt, wishes, settings, models)
        model = model_of(prompt, models, settings.engine.default_model, settings)
        starts = bool(prompt.images) and uses_pictures(prompt)
        return faults(prompt, model, settings, starts)

    return told


def styles_of(settings: Settings) -> dict[str, Style]:
    """Style profiles by name: those that come with the bot, changed and extended by the configuration."""
    return {**BUILT_IN, **{name: Style(**dict(own)) for name, own in settings.styles.items()}}


def aliases_of(settings: Settings, models: Mapping[str, ModelInfo]) -> dict[str, str]:
    """Models by their other names, in lowercase; a model's own name goes before another's alias."""
    return {
        alias.lower(): name
        for name, own in settings.models.items()
        if name in models
        for alias in own.aliases
        if alias not in models
    }


def model_of(
    prompt: Prompt, models: Mapping[str, ModelInfo], default: str, settings: Settings | None = None
) -> ModelInfo:
    """The model a prompt asks for, or the default; PromptError with the names there are."""
    typed = prompt.get("model")
    if typed is None:
        wanted = _implied(prompt, models, settings) if settings else None
        return models.get(wanted or default) or next(iter(models.values()))
    if str(typed) not in models:
        raise PromptError((unknown_model(str(typed), tuple(models)),), render(prompt))
    return models[str(typed)]


def _implied(prompt: Prompt, models: Mapping[str, ModelInfo], settings: Settings) -> str | None:
    """The model that --niji or a style stands for, where it is there."""
    niji = _niji_model(prompt, models, settings)
    profile = styles_of(settings).get(str(prompt.get("style")))
    wanted = niji or (profile.model if profile else "")
    return wanted if wanted in models else None


def _niji_model(prompt: Prompt, models: Mapping[str, ModelInfo], settings: Settings) -> str | None:
    version = prompt.get("niji")
    if version is None:
        return None
    aliases = {**{name.lower(): name for name in models}, **aliases_of(settings, models)}
    return aliases.get(f"niji-{version}") or aliases.get("niji")


def style_of(prompt: Prompt, model: ModelInfo, settings: Settings) -> tuple[str, Style]:
    """Name and profile that a prompt is painted in; an empty one without."""
    styles = styles_of(settings)
    name = prompt.get("style")
    if name is None and prompt.get("niji") is not None:
        anime = _niji_model(prompt, {model.name: model}, settings)
        name = None if anime else ANIME
    return (str(name), styles[str(name)]) if name in styles else ("", Style())


def check(prompt: Prompt, model: ModelInfo, settings: Settings, *, pictures: int) -> None:
    """PromptError with everything that the model or this server cannot do; ``pictures`` it starts from."""
    if found := faults(prompt, model, settings, bool(pictures)):
        raise PromptError(found, render(prompt))


def faults(prompt: Prompt, model: ModelInfo, settings: Settings, starts: bool) -> tuple[Sentence, ...]:
    """Everything that the model or this server cannot do; ``starts``: the job begins with a picture."""
    return tuple(_faults(prompt, model, settings, starts))


def count_of(prompt: Prompt) -> int:
    """Pictures of the grid."""
    return int(prompt.number("n"))


def blends(job: Job) -> bool:
    """Whether the job mixes its pictures instead of starting from them; a variation starts from a result."""
    return bool(job.prompt.get("blend")) and job.action not in PAINTS_FROM


def uses_pictures(prompt: Prompt) -> bool:
    """Whether image prompts count at all: ``--iw 0`` follows the text alone."""
    return prompt.number("iw") > 0 or bool(prompt.get("blend"))


def input_strength(prompt: Prompt, action: Action) -> float:
    """How far a job leaves the pictures that it starts from, in (0, 1]."""
    return VARIATION_STRENGTH if action is Action.VARIATION else round(0.6 ** prompt.number("iw"), 4)


def share_of(role_ids: Iterable[int], settings: Settings) -> float:
    """A user's weight among others who wait: the highest of their roles' that have one."""
    shares = settings.limits.shares
    return max((shares[role] for role in role_ids if role in shares), default=1.0)


def build(
    job: Job,
    model: ModelInfo,
    settings: Settings,
    *,
    lane: str = "fast",
    init: InitImage | None = None,
    references: Sequence[bytes] = (),
    blend: Sequence[bytes] = (),
) -> GenerationSpec:
    """The spec of a job: a function of its row, so that what is gone can be made again.

    ``references`` are the encoded pictures of ``reference_links(job.prompt)``, in that order; ``blend`` those
    of ``job.prompt.images`` where the job ``blends``.
    """
    prompt, (width, height) = job.prompt, painted_size(job, model)
    said = wording(prompt, model, settings)
    return GenerationSpec(
        job_id=job.id,
        model=model.name,
        prompt=said.text,
        seeds=job.seeds,
        width=width,
        height=height,
        steps=steps_of(prompt, model, settings),
        guidance_scale=guidance_of(prompt, model, settings),
        sampler=sampler_name(str(prompt.get("sampler") or model.sampler)),
        negative_prompt=said.negative,
        init=init,
        stop=prompt.number("stop") / 100,
        tile=bool(prompt.get("tile")),
        user=str(job.requester.user_id),
        lane=Lane(lane),
        share=share_of(job.requester.role_ids, settings),
        loras=said.loras,
        references=references_of(prompt, references),
        blend=tuple(blend),
        hires=hires_of(job, model),
        checks=checks_of(job.place, settings),
    )


def hires_of(job: Job, model: ModelInfo) -> Hires | None:
    """The second pass of an upscale."""
    change = job.change
    return Hires(change.enlarge, min(change.detail, model.most_detail)) if change and change.enlarge else None


def painted_size(job: Job, model: ModelInfo) -> tuple[int, int]:
    """Width and height in pixels of a job's denoised pictures: a button's size, else what its flags say."""
    if job.change is None or job.change.size is None:
        return size_of(job.prompt, model)
    width, height = (on_raster(side, model) for side in job.change.size)
    return width, height


def on_raster(side: float, model: ModelInfo) -> int:
    """The nearest side, in pixels, that the model can paint."""
    return _on_raster(side, model, model.min_size, model.max_size)


def checks_of(place: Place, settings: Settings) -> tuple[str, ...]:
    """The picture checks of a channel."""
    free = settings.safety.nudity == "allowed" or place.channel_id in settings.safety.nudity_channels
    return () if free else ("nudity",)


def wording(prompt: Prompt, model: ModelInfo, settings: Settings) -> Wording:
    """The texts a model is given: the user's, framed by the style's and the model's own."""
    own = settings.models.get(model.name)
    _, style = style_of(prompt, model, settings)
    framed = own if own and not prompt.get("raw") else None
    before = [style.prefix, framed.prefix if framed else ""]
    behind = [style.suffix, framed.suffix if framed else ""]
    text, loras = weights.loras(_in_our_syntax(prompt.text, own))

    def frame(part: str) -> str:
        return ", ".join(piece for piece in (*before, part, *behind) if piece)

    weighted = model.prompt_weights
    positive = weights.positive(text, weighted=weighted, frame=frame)
    negative = ", ".join(_unwanted(prompt, text, style, model, own))
    final = str if weighted else weights.plain
    return Wording(
        weights.unescaped(final(positive)),
        weights.unescaped(final(negative)) if model.negative_prompt else "",
        _loras(prompt, loras, style, model),
    )


def _in_our_syntax(text: str, own: config.Model | None) -> str:
    return weights.from_novelai(text) if own and own.syntax == "novelai" else text


def _unwanted(
    prompt: Prompt, text: str, style: Style, model: ModelInfo, own: config.Model | None
) -> Iterator[str]:
    yield from (_in_our_syntax(word, own) for word in prompt.listed("no"))
    yield from weights.negative(text, weighted=model.prompt_weights)
    yield from (words for words in (style.negative_prompt, preset_of(prompt, own)) if words)
    if own and own.negative_prompt:
        yield own.negative_prompt


def preset_of(prompt: Prompt, own: config.Model | None) -> str:
    """The model's preset of undesired content that applies: the one asked for, or the default one."""
    asked = prompt.get("preset")
    if own is None or asked == NO_PRESET or (asked is None and prompt.get("raw")):
        return ""
    return own.presets.get(str(asked or DEFAULT_PRESET), "")


def _loras(
    prompt: Prompt, typed: tuple[tuple[str, float], ...], style: Style, model: ModelInfo
) -> tuple[tuple[str, float], ...]:
    stylize = prompt.number("stylize")
    factor = stylize / 100 if stylize <= 100 else 1 + 0.5 * (stylize - 100) / 900
    profile = {name: round(weight * factor, 4) for name, weight in style.loras.items() if name in model.loras}
    return tuple({**profile, **dict(typed)}.items())


def reference_links(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    """Flag and link of every reference picture, in the order their files are kept."""
    return tuple((name, _SHARE.sub("", link)) for name in REFERENCES for link in prompt.listed(name))


def with_kept(prompt: Prompt, files: Mapping[str, str]) -> Prompt:
    """The prompt with uploads (``attachment:<n>``) named as the files (``input:inputs/<name>``) they are."""
    names = {
        source: f"library:{file.rpartition('/')[2]}"
        for source, file in files.items()
        if source.startswith("attachment:")
    }

    def kept(link: str) -> str:
        bare = _SHARE.sub("", link)
        return names.get(bare, bare) + link.removeprefix(bare)

    lent = {flag: tuple(map(kept, prompt.listed(flag))) for flag in REFERENCES if flag in prompt.values}
    return replace(prompt, images=tuple(map(kept, prompt.images)), values={**prompt.values, **lent})


def references_of(prompt: Prompt, pictures: Sequence[bytes]) -> tuple[Reference, ...]:
    """The references with their weights; a picture's own ``::weight`` counts among those of its flag."""
    found: list[Reference] = []
    remaining = iter(pictures)
    for name in REFERENCES:
        shares = [_share(link) for link in prompt.listed(name)]
        whole = adapter_scale(prompt.number(WEIGHTS[name])) * len(shares) / (math.fsum(shares) or 1.0)
        for share, data in zip(shares, remaining, strict=False):
            found.append(Reference(data, KINDS[name], round(whole * share, 4)))
    return tuple(found)


def _share(link: str) -> float:
    weight = _SHARE.search(link)
    return float(weight[1]) if weight else 1.0


def adapter_scale(weight: float) -> float:
    """0 at 0, 0.6 at 100, 1.2 at 1000; straight lines between."""
    if weight <= 100:
        return ADAPTER_SCALE * weight / 100
    return ADAPTER_SCALE * (1 + (weight - 100) / 900)


def size_of(prompt: Prompt, model: ModelInfo) -> tuple[int, int]:
    """Width and height in pixels: the native area in the wanted shape, on the raster, within the limits."""
    least, most = model.min_size, model.max_size
    exact = prompt.get("size")
    if isinstance(exact, tuple):
        width, height = (_on_raster(int(side), model, least, most) for side in exact)
        return width, height
    ratio = prompt.get("ar")
    wide, high = ratio if isinstance(ratio, tuple) else (1, 1)
    return _nearest_shape(int(wide) / int(high), model)


def _nearest_shape(ratio: float, model: ModelInfo) -> tuple[int, int]:
    """Of the sizes around the exact one, that which is nearest in shape, and half as much in area."""
    shape, most = math.sqrt(ratio), model.max_size
    side = model.native_size * min(1.0, most / (max(shape, 1 / shape) * model.native_size))

    def distance(size: tuple[int, int]) -> float:
        width, height = size
        return 2 * abs(math.log(width / height / ratio)) + abs(math.log(width * height / side**2))

    return min(product(_around(side * shape, model), _around(side / shape, model)), key=distance)


def _around(side: float, model: ModelInfo) -> list[int]:
    """The sides on the raster next to one, the nearest first."""
    step = model.size_multiple
    low = math.floor(side / step) * step
    near = sorted((low, low + step), key=lambda length: abs(length - side))
    return [_on_raster(length, model, model.min_size, model.max_size) for length in near]


def steps_of(prompt: Prompt, model: ModelInfo, settings: Settings) -> int:
    """Number of denoising steps, at least as many as the model needs."""
    most = min(model.max_steps, settings.limits.max_steps)
    if prompt.get("steps") is not None:
        return min(int(prompt.number("steps")), most)
    share = prompt.number("quality") * (DRAFT if prompt.get("draft") else 1)
    return max(model.min_steps, min(round(model.steps * share), most))


def guidance_of(prompt: Prompt, model: ModelInfo, settings: Settings | None = None) -> float:
    """The guidance scale after its flags; models without guidance (<= 1) stay as they are."""
    if prompt.get("cfg") is not None:
        return prompt.number("cfg")
    if model.guidance_scale <= 1:
        return model.guidance_scale
    style = style_of(prompt, model, settings)[1].guidance if settings else 1.0
    scale = max(1.0, model.guidance_scale * style * _push(prompt))
    return round(min(1 + (scale - 1) * (1 - 0.6 * _spread(prompt)), MAX_GUIDANCE), 4)


def _push(prompt: Prompt) -> float:
    """What --stylize and --exp multiply the guidance scale by."""
    style = prompt.number("stylize")
    factor = 0.6 + 0.4 * style / 100 if style <= 100 else 1 + 0.8 * (style - 100) / 900
    return factor * (1 + 0.4 * prompt.number("exp") / 100)


def _spread(prompt: Prompt) -> float:
    """How much diversity --chaos and --weird ask for, in [0, 1]."""
    return min(1.0, prompt.number("chaos") / 100 + prompt.number("weird") / 3000)


def _faults(prompt: Prompt, model: ModelInfo, settings: Settings, pictures: bool) -> Iterator[Sentence]:
    yield from _too_much(prompt, model, settings)
    name = quoted(model.name)
    if pictures and not model.image_to_image and not prompt.get("blend"):
        yield say(
            "The model {model} cannot start from a picture; leave the picture out, or choose "
            "another `--model`.",
            model=name,
        )
    yield from _not_honoured(prompt, model)
    for flag in REFERENCES:
        if prompt.listed(flag) and KINDS[flag] not in model.references:
            yield say(
                "The model {model} has no adapter for {kind} references; leave `--{flag}` out, or "
                "choose another `--model`. A picture in front of the text works with most models.",
                model=name,
                flag=flag,
                kind=KINDS[flag].said,
            )
    sampler = prompt.get("sampler")
    if sampler is not None and sampler_name(str(sampler)) not in model.samplers:
        yield say(
            "The model {model} has no sampler {sampler}; choose one of {names}.",
            model=name,
            sampler=quoted(str(sampler)),
            names=sampler_choice(model.samplers),
        )
    for lora, _ in weights.loras(prompt.text)[1]:
        if lora not in model.loras:
            yield _no_lora(lora, model)
    yield from _many_parts(prompt, model)
    yield from _unknown_preset(prompt, model, settings)
    yield from _bad_blend(prompt, model)


def _not_honoured(prompt: Prompt, model: ModelInfo) -> Iterator[Sentence]:
    lacking = {
        "no": not model.negative_prompt,
        "tile": not model.tile,
        "stop": not model.stop and prompt.number("stop") < 100,
    }
    for flag in (flag for flag, lacks in lacking.items() if lacks and prompt.get(flag)):
        yield say(
            "The model {model} cannot honour `--{flag}`; leave it out, or choose another `--model`.",
            model=quoted(model.name),
            flag=flag,
        )


def _many_parts(prompt: Prompt, model: ModelInfo) -> Iterator[Sentence]:
    """Of a multi-prompt; for a model that does not weigh they are a list of any length."""
    count = sum(part.weight > 0 for part in weights.parts(prompt.text))
    if model.prompt_weights and count > MOST_PARTS:
        yield say(
            "`::` divides the prompt into {count} parts, and the model {model} weighs at most {most} in one "
            "picture; join some with commas, or leave some out.",
            count=count,
            model=quoted(model.name),
            most=MOST_PARTS,
        )


def _bad_blend(prompt: Prompt, model: ModelInfo) -> Iterator[Sentence]:
    if not prompt.get("blend"):
        return
    if not model.blend:
        yield say(
            "The model {model} cannot blend pictures; choose another `--model`.", model=quoted(model.name)
        )
    least, most = BLEND
    if not least <= len(prompt.images) <= most:
        yield say(
            "`--blend` mixes {least} to {most} pictures in front of the text, and here are {count}.",
            least=least,
            most=most,
            count=len(prompt.images),
        )


def _no_lora(lora: str, model: ModelInfo) -> Sentence:
    name = quoted(model.name)
    if lora in model.unfit_loras:
        return say(
            "LoRA {name!r} does not fit {model}: {reason}.",
            name=lora,
            model=name,
            reason=model.unfit_loras[lora],
        )
    if not model.loras:
        return say(
            "The model {model} has no LoRA {lora}, nor any other here; leave it out.",
            model=name,
            lora=quoted(lora),
        )
    return say(
        "The model {model} has no LoRA {lora}; choose one of {names}.",
        model=name,
        lora=quoted(lora),
        names=", ".join(model.loras),
    )


def _too_much(prompt: Prompt, model: ModelInfo, settings: Settings) -> Iterator[Sentence]:
    most = {"steps": min(model.max_steps, settings.limits.max_steps), "n": settings.limits.max_images}
    for name, high in most.items():
        if name in prompt.values and prompt.number(name) > high:
            yield out_of_range(name, prompt.values[name], high)
    size = prompt.get("size")
    if isinstance(size, tuple) and not all(model.min_size <= int(side) <= model.max_size for side in size):
        shape = "x".join(map(str, size))
        yield say(
            "`--size {size}`: the model {model} paints from {low} to {high} pixels a side; "
            "choose within these, or give the shape with `--ar`.",
            model=quoted(model.name),
            size=shape,
            low=model.min_size,
            high=model.max_size,
        )
    if len(prompt.text) > settings.limits.max_prompt:
        yield say(
            "The prompt has {length:,} characters; at most {most:,} are taken. Please shorten it.",
            length=len(prompt.text),
            most=settings.limits.max_prompt,
        )


def _unknown_preset(prompt: Prompt, model: ModelInfo, settings: Settings) -> Iterator[Sentence]:
    own = settings.models.get(model.name)
    asked, names = prompt.get("preset"), [NO_PRESET, *(own.presets if own else ())]
    if asked is not None and asked not in names:
        yield say(
            "`--preset` {preset}: the model {model} has no such preset; choose one of {names}.",
            model=quoted(model.name),
            preset=quoted(str(asked)),
            names=", ".join(names),
        )


def _emphasis(text: str, settings: Settings, models: Mapping[str, ModelInfo]) -> bool:
    """Whether braces weigh words for the model that a text names, or for the default one."""
    named = re.findall(r"(?:--|[—–]{1,2})(?:v|version|model)[ =]+(\S{1,64})", text)
    name = (
        aliases_of(settings, models).get(named[-1].lower(), named[-1])
        if named
        else settings.engine.default_model
    )
    own = settings.models.get(name)
    return own is not None and own.syntax == "novelai"


def _on_raster(side: float, model: ModelInfo, least: int, most: int) -> int:
    raster = model.size_multiple
    low, high = math.ceil(least / raster), most // raster
    return max(low, min(round(side / raster), high)) * raster
