"""What a picture says of how it was made, in the words of the programs that people come from.

Everything in a picture is somebody else's text: nothing of it is run, all of it is measured before it is
read, and what makes no sense is left out.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from bot.domain import flags, infotext
from bot.domain.flags import BY_NAME, FlagValue
from bot.domain.prompt import MAX_LENGTH, Prompt, parse, printable, render
from bot.domain.reading import flag_name, words_of
from bot.errors import PromptError
from engine.api import sampler_name

LARGEST_TEXT = 1_000_000
"""Characters of a text chunk that are looked at; a workflow has some ten thousand."""
_USER_COMMENT = 0x9286
_DESCRIPTION = 0x010E
_EXIF = 0x8769
KEYS = ("tessera", "parameters", "UserComment", "ImageDescription", "prompt", "workflow", "Comment")
"""Chunks that are looked at."""
_FORMATS = ("PNG", "JPEG", "WEBP")
_Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """The prompt that would make such a picture again, as one types it, and the program that wrote it."""

    prompt: str
    source: str
    seed: int | None = None
    model: str = ""
    """As the program called it; in ``prompt`` only where it is known here."""


def read(data: bytes, *, models: tuple[str, ...] = ()) -> Found | None:
    """What the picture's own text says, or None. Never raises; takes milliseconds (no pixel is decoded).

    ``models`` are names that ``--model`` may take; others are left out of the prompt.
    """
    return of_texts(texts(data), models=models)


def of_texts(found: Mapping[str, str], *, models: tuple[str, ...] = ()) -> Found | None:
    """As :func:`read`, of text chunks by name."""
    for source, reader in _READERS:
        facts = reader(found)
        if facts and (prompt := _prompt(facts, models)):
            seed = prompt.get("seed")
            model = printable(str(facts.get("model") or ""))[:100]
            return Found(render(prompt), source, seed if isinstance(seed, int) else None, model)
    return None


def texts(data: bytes) -> dict[str, str]:
    """Text chunks by name; ``UserComment`` of EXIF. Pillow bounds what compressed chunks may grow to."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            found = {str(key): str(value) for key, value in picture.info.items() if isinstance(value, str)}
            exif = picture.getexif()
            comment = exif.get_ifd(_EXIF).get(_USER_COMMENT)
            described = exif.get(_DESCRIPTION)
    except Exception:
        # Pillow raises what its plugins raise, down to struct.error; a picture that says nothing is no fault.
        return {}
    if comment:
        found.setdefault("UserComment", _decoded(comment))
    if isinstance(described, str):
        found.setdefault("ImageDescription", described)
    return {key: value for key, value in found.items() if len(value) <= LARGEST_TEXT}


def _decoded(comment: object) -> str:
    """An EXIF UserComment: eight bytes name its encoding (Exif 2.32, 4.6.5); UTF-16 comes in both orders."""
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return ""
    code, body = comment[:8], comment[8:]
    if code.startswith(b"UNICODE"):
        big = body[:1] == b"\0" or body[1:2] != b"\0"
        return body.decode("utf-16-be" if big else "utf-16-le", "replace")
    return (body if code.startswith((b"ASCII", b"\0")) else comment).decode("utf-8", "replace")


def _json(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _own(texts: Mapping[str, str]) -> _Facts | None:
    kept = _json(texts.get("tessera"))
    if not isinstance(kept, dict) or not isinstance(kept.get("prompt"), str):
        return None
    return {"typed": kept["prompt"], "seed": kept.get("seed"), "model": kept.get("model")}


def _webui(texts: Mapping[str, str]) -> _Facts | None:
    for name in ("parameters", "UserComment", "ImageDescription"):
        head, settings = infotext.split(" ".join(texts.get(name, "").split()))
        if settings:
            text, _, negative = head.partition("Negative prompt:")
            sampler = infotext.sampler_name(settings.get("Sampler", ""), settings.get("Schedule type", ""))
            width, _, height = settings.get("Size", "").partition("x")
            return {
                "text": text,
                "negative": negative,
                "steps": settings.get("Steps"),
                "cfg": settings.get("CFG scale"),
                "seed": settings.get("Seed"),
                "sampler": sampler,
                "width": width,
                "height": height,
                "model": settings.get("Model"),
                "tile": settings.get("Tiling") == "True",
            }
    return None


def _fooocus(texts: Mapping[str, str]) -> _Facts | None:
    for name in ("parameters", "UserComment"):
        kept = _json(texts.get(name))
        if isinstance(kept, dict) and "prompt" in kept:
            sides = re.findall(r"\d{1,5}", str(kept.get("resolution", "")))[:2]
            return {
                "text": kept["prompt"],
                "negative": kept.get("negative_prompt"),
                "steps": kept.get("steps"),
                "cfg": kept.get("guidance_scale"),
                "seed": kept.get("seed"),
                "sampler": _known_sampler(kept.get("sampler"), kept.get("scheduler")),
                **dict(zip(("width", "height"), sides, strict=False)),
                "model": kept.get("base_model"),
            }
    return None


def _novelai(texts: Mapping[str, str]) -> _Facts | None:
    kept = _json(texts.get("Comment"))
    if not isinstance(kept, dict) or "prompt" not in kept:
        return None
    return {
        "text": kept["prompt"],
        "negative": kept.get("uc"),
        "steps": kept.get("steps"),
        "cfg": kept.get("scale"),
        "seed": kept.get("seed"),
        "sampler": _known_sampler(kept.get("sampler"), kept.get("noise_schedule")),
        "width": kept.get("width"),
        "height": kept.get("height"),
    }


def _comfy(texts: Mapping[str, str]) -> _Facts | None:
    graph = _json(texts.get("prompt"))
    if not isinstance(graph, dict):
        return None
    nodes = {str(key): node for key, node in graph.items() if isinstance(node, dict)}
    sampler = next((node for node in nodes.values() if _is_sampler(node)), None)
    if sampler is None:
        return None
    inputs = _inputs(sampler)
    latent = _inputs(_linked(nodes, inputs.get("latent_image")))
    loader = next((_inputs(node) for node in nodes.values() if "ckpt_name" in _inputs(node)), {})
    return {
        "text": _words(nodes, inputs.get("positive")),
        "negative": _words(nodes, inputs.get("negative")),
        "steps": inputs.get("steps"),
        "cfg": inputs.get("cfg"),
        "seed": inputs.get("seed", inputs.get("noise_seed")),
        "sampler": _known_sampler(inputs.get("sampler_name"), inputs.get("scheduler")),
        "width": latent.get("width"),
        "height": latent.get("height"),
        "model": str(loader.get("ckpt_name", "")).rpartition(".")[0],
    }


def _is_sampler(node: Mapping[str, Any]) -> bool:
    return {"positive", "negative", "steps"} <= _inputs(node).keys()


def _inputs(node: object) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _linked(nodes: Mapping[str, Any], link: object) -> Mapping[str, Any]:
    """The node a link ``[id, output]`` names; empty for anything else."""
    found = nodes.get(str(link[0])) if isinstance(link, list) and link else None
    return found if isinstance(found, dict) else {}


def _words(nodes: Mapping[str, Any], link: object, hops: int = 8) -> str:
    """The text behind a conditioning, through up to ``hops`` nodes that pass it on."""
    for _ in range(hops):
        inputs = _inputs(_linked(nodes, link))
        for name in ("text", "text_g", "string", "value", "prompt"):
            if isinstance(inputs.get(name), str):
                return str(inputs[name])
        passed = ("text", "text_g", "string", "value", "conditioning", "conditioning_1", "positive")
        link = next((inputs[name] for name in passed if isinstance(inputs.get(name), list)), None)
    return ""


def _workflow(texts: Mapping[str, str]) -> _Facts | None:
    """ComfyUI's editor file, which keeps values by place: a KSampler's are seed, control, steps, cfg, ..."""
    kept = _json(texts.get("workflow"))
    listed = kept.get("nodes") if isinstance(kept, dict) else None
    nodes = [node for node in listed if isinstance(node, dict)] if isinstance(listed, list) else []
    samplers = [_widgets(node) for node in nodes if node.get("type") == "KSampler"]
    texts_of = [_widgets(node) for node in nodes if node.get("type") == "CLIPTextEncode"]
    words = [values[0] for values in texts_of if values and isinstance(values[0], str)]
    if not samplers or len(samplers[0]) < 6 or not words:
        return None
    seed, _, steps, cfg, sampler, scheduler = samplers[0][:6]
    return {
        "text": words[0],
        "negative": words[1] if len(words) > 1 else "",
        "steps": steps,
        "cfg": cfg,
        "seed": seed,
        "sampler": _known_sampler(sampler, scheduler),
    }


def _widgets(node: Mapping[str, Any]) -> list[Any]:
    values = node.get("widgets_values")
    return values if isinstance(values, list) else []


def _known_sampler(name: object, schedule: object = None) -> str:
    if not isinstance(name, str):
        return ""
    return sampler_name(infotext.sampler_name(name, str(schedule or "")))


_READERS = (
    ("Tessera", _own),
    ("Fooocus", _fooocus),
    ("stable-diffusion-webui", _webui),
    ("ComfyUI", _comfy),
    ("ComfyUI", _workflow),
    ("NovelAI", _novelai),
)


def _prompt(facts: _Facts, models: tuple[str, ...]) -> Prompt | None:
    """A prompt of what was found, without what would not be understood as it is meant."""
    if "typed" in facts:
        return _retyped(facts)
    values: dict[str, FlagValue] = dict(_values(facts, models))
    prompt = Prompt(_tame(facts.get("text")), (), values)
    try:
        return parse(render(prompt), max_length=3 * MAX_LENGTH)
    except PromptError:
        return None


def _retyped(facts: _Facts) -> Prompt | None:
    """Our own prompt, pinned to the picture's seed; uploads it started from are not in the picture."""
    words = [word for word in facts["typed"].split() if not word.startswith(("library:", "attachment:"))]
    try:
        prompt = parse(" ".join(words), max_length=3 * MAX_LENGTH)
    except PromptError:
        return None
    seed = flags.read_value(BY_NAME["seed"], str(facts["seed"]))
    once = prompt.with_values(repeat=None)
    return once.with_values(seed=seed, n=1) if seed is not None else once


def _values(facts: _Facts, models: tuple[str, ...]) -> Iterator[tuple[str, FlagValue]]:
    size = f"{facts.get('width')}x{facts.get('height')}"
    typed = {name: facts.get(name) for name in ("seed", "steps", "cfg", "sampler")} | {"size": size}
    typed["no"] = _tame(facts.get("negative"))
    for name, value in typed.items():
        if value in (None, "") or isinstance(value, bool | dict | list):
            continue
        understood = flags.read_value(BY_NAME[name], str(value))
        if understood is not None:
            yield name, understood
    if facts.get("tile"):
        yield "tile", True
    if facts.get("model") in models:
        yield "model", str(facts["model"])


def _tame(text: object) -> str:
    """Foreign text in which nothing is a flag of ours, a link or a control code."""
    if not isinstance(text, str):
        return ""
    short = printable(text[:MAX_LENGTH]).replace("://", ": //")
    return " ".join(
        word.lstrip("-—–－﹣−⸺―") if flag_name(word) else word for word in words_of(short)
    ).strip()
