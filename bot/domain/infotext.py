"""Generation parameters as stable-diffusion-webui writes them, understood as a prompt of ours.

``text⏎Negative prompt: words⏎Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768``. Discord
takes the line breaks out of what is pasted, so none are relied on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SETTINGS = re.compile(
    r"(?:^|[\s,])(?=Steps: ?\d{1,4}, ?(?:Sampler|Schedule type|CFG scale|Seed|Size|Model|Model hash): )"
)
_PAIR = re.compile(r'\s*(?P<key>[A-Za-z][\w /+.-]{0,48}): ?(?P<value>"(?:[^"\\]|\\.)*"|[^,"]*)(?:,|$)')
_NEGATIVE = re.compile(r"(?:^|\s)Negative prompt:")
_SCHEDULES = {
    **{name: name for name in ("karras", "exponential", "beta", "sgm uniform")},
    "sgm_uniform": "sgm uniform",
}


def as_typed(text: str, models: tuple[str, ...] = ()) -> str:
    """The text with pasted parameters turned into flags; any other text as it is.

    The model is taken over where its name is one of ``models``. What a text alone cannot do again (hashes,
    denoising of a picture, clip skip) is left out.
    """
    head, found = split(text)
    flags = " ".join(_flags(found, models))
    if not _NEGATIVE.search(head):
        return f"{head} {flags}" if found else text
    wanted, *unwanted = (piece.strip() for piece in _NEGATIVE.split(head))
    listed = " ".join(f"--no {piece}" for piece in unwanted if piece.strip(" ,，、"))
    return " ".join(piece for piece in (wanted, listed, flags) if piece)


def split(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the settings, and the settings by name; none where there are none."""
    start = _SETTINGS.search(text)
    if not start:
        return text, {}
    pairs = _PAIR.finditer(text, start.end())
    return text[: start.start()], {pair["key"].strip(): pair["value"].strip().strip('"') for pair in pairs}


def sampler_name(name: str, schedule: str = "") -> str:
    """A sampler's name in lowercase, its schedule behind it where it is no part of the name yet."""
    plain = " ".join(name.lower().replace("_", " ").split())
    suffix = _SCHEDULES.get(schedule.lower().strip(), "")
    return plain if not suffix or plain.endswith(suffix) else f"{plain} {suffix}"


def _flags(found: Mapping[str, str], models: tuple[str, ...]) -> Iterator[str]:
    names = {"Steps": "steps", "CFG scale": "cfg", "Seed": "seed", "Size": "size"}
    for key, flag in names.items():
        if value := found.get(key):
            yield f"--{flag} {value}"
    if sampler := found.get("Sampler"):
        yield f"--sampler {sampler_name(sampler, found.get('Schedule type', ''))}"
    if found.get("Model") in models:
        yield f"--model {found['Model']}"
    if found.get("Tiling") == "True":
        yield "--tile"
