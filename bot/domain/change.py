"""What a button does to the picture that a job starts from: laid out, marked, enlarged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

SIDE = 3
"""Fields a side of the grid that is laid over a picture to choose regions from."""
FIELDS = SIDE * SIDE


class Layout(StrEnum):
    """Where the new ground is: around the picture, or on it."""

    ZOOM = "zoom"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
    SQUARE = "square"
    CELLS = "cells"
    """Numbered fields of the picture."""
    NAMED = "named"
    """What a text names in it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Kept in the job's row, since its pictures are a function of that."""

    layout: Layout | None = None
    factor: float = 1.0
    """Of a zoom: how many times smaller the picture becomes."""
    ratio: tuple[int, int] | None = None
    """Of a zoom: the canvas' new shape, width to height."""
    cells: tuple[int, ...] = ()
    """Zero-based, row by row."""
    region: str = ""
    enlarge: float = 0.0
    """Times the size by a second pass; 0 without one."""
    detail: float = 0.0
    """Strength of that pass in [0, 1]; 0 only enlarges."""
    size: tuple[int, int] | None = None
    """Width and height to paint in pixels, where the prompt's flags do not say it."""
    remixed: bool = False
    """Whether the prompt was changed on the way."""


def dumps(change: Change) -> str:
    """As JSON, without what says nothing."""
    plain = Change()
    return json.dumps(
        {name: value for name, value in asdict(change).items() if value != getattr(plain, name)}
    )


def loads(data: str) -> Change:
    """The inverse of ``dumps``; keys that are not known are dropped. ValueError where the JSON is none."""
    return read(json.loads(data))


def read(kept: object) -> Change:
    """From decoded JSON of any origin; ValueError where a value is none that could be written."""
    if not isinstance(kept, Mapping):
        raise ValueError("not a change")
    known = {field.name for field in fields(Change)}
    values = {name: value for name, value in kept.items() if name in known}
    try:
        return Change(
            layout=Layout(values["layout"]) if values.get("layout") else None,
            factor=_number(values.get("factor", 1.0), 1, 4),
            ratio=_pair(values.get("ratio"), 10_000),
            cells=tuple(sorted({int(_number(cell, 0, FIELDS - 1)) for cell in values.get("cells", ())})),
            region=str(values.get("region", ""))[:200],
            enlarge=_number(values.get("enlarge", 0.0), 0, 4),
            detail=_number(values.get("detail", 0.0), 0, 1),
            size=_pair(values.get("size"), 16_384),
            remixed=values.get("remixed") is True,
        )
    except TypeError as error:
        raise ValueError("not a change") from error


def _number(value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low} to {high}")
    return float(value)


def _pair(value: object, high: int) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{value!r} is no pair")
    first, second = (int(_number(side, 1, high)) for side in value)
    return first, second
