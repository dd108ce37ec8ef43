"""What comes after a job's last step: decoding, enlarging, checking; in turns, as the steps before it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Hashable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch
from PIL import Image

from engine import stages
from engine.api import GenerationSpec
from engine.masks import put_back
from engine.memory import free, in_less_memory
from engine.models.base import ModelFamily, OwnCourse, OwnWay
from engine.models.tiling import in_tiles
from engine.safety import Gate
from engine.stages import Rows
from engine.upscale import Size, Upscaler, pieces

T = TypeVar("T")
log = logging.getLogger(__name__)
Ease = Callable[["ModelFamily | OwnWay"], bool]
"""Frees some of the device's memory for a model; False when there is none left to free."""
Pictures = Generator[None, None, list[Image.Image]]
Finishing = Generator[None, None, "list[Image.Image] | Rows"]
"""Stops are where others take their turns."""
TURN_S = 0.5
"""Seconds that preparing or decoding may take in one turn, as far as one of them takes no longer."""
EPSILON_S = 1e-6


def eased(family: ModelFamily | OwnWay, attempt: Callable[[], T], ease: Ease, *, tile: bool) -> T:
    """The attempt; out of memory, again with the autoencoder at work in tiles, then with other weights put
    aside. Pictures whose own edges meet (``tile``) are not cut.
    """
    tiled = False

    def less() -> bool:
        nonlocal tiled
        before, tiled = tiled, True
        return (not before and not tile) or ease(family)

    def once() -> T:
        with in_tiles(family, tiled and not tile):
            return attempt()

    return in_less_memory(once, less)


def enlargements(rows: Rows | OwnCourse, spec: GenerationSpec) -> int:
    """Pieces that the pictures of ``rows``, which have just begun, will go through the upscaler in."""
    start = stages.decode(rows)[0].size if rows.end == 0 else (spec.width, spec.height)
    second = _second_pass(rows)
    between = [(second.width, second.height)] if second else []
    sizes = (start, *between, _shown_size(rows, spec))
    return rows.count * sum(pieces(rows.family.profile.upscaler, *each) for each in pairwise(sizes))


class Finisher:
    """For one device; ``ease`` frees its memory, ``clock`` counts seconds."""

    def __init__(
        self, device: torch.device, ease: Ease, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._device = device
        self._ease = ease
        self._clock = clock
        self._upscalers: dict[str, Upscaler] = {}
        self._gate = Gate()
        self._decoding: dict[Hashable, float] = {}
        """Seconds that a picture of a model and size took."""
        self._unshared: set[Hashable] = set()
        """Kinds of pictures that could not be decoded together before."""

    def turns(
        self,
        rows: Rows | OwnCourse,
        spec: GenerationSpec,
        seeds: Sequence[int],
        *,
        present: Callable[[], object],
        enlarged: Callable[[], None],
    ) -> Finishing:
        """Pictures as large as ``spec`` wants them, or the second pass that makes them so, begun.

        ``present`` brings the model back to the device, from where others may have sent it since the last
        turn; ``enlarged`` is called after each of the :func:`enlargements`.
        """
        images = yield from self._decoded(rows, present)
        if (second := _second_pass(rows)) is None:
            images = yield from self._resized(rows, images, _shown_size(rows, spec), enlarged)
            if spec.init is not None and spec.init.mask is not None:
                images = [put_back(image, spec.init, spec.width) for image in images]
            self._gate.check(images, spec.checks, rows.family.profile.source.path)
            return images
        grown = yield from self._resized(rows, images, (second.width, second.height), enlarged)
        present()
        done = rows.told[0]
        begin = partial(stages.prepare, rows.family, second, seeds, grown, before=done)
        return eased(rows.family, begin, self._ease, tile=second.tile)

    def together(self, finished: Sequence[Rows]) -> None:
        """Decode in one pass what several jobs finished by the same step, if a turn is known to hold it; all
        else is left to each job's own turns. Small models wait for launches more than for arithmetic.
        """
        kind, count = _kind(finished[0]), sum(rows.count for rows in finished)
        if kind in self._unshared or count * self._decoding.get(kind, TURN_S) >= TURN_S:
            return
        try:
            stages.decode_together(finished)
        except Exception as error:
            log.warning("pictures of %d jobs are decoded job by job from now on: %s", len(finished), error)
            self._unshared.add(kind)
            free(self._device)

    def _decoded(self, rows: Rows | OwnCourse, present: Callable[[], object]) -> Pictures:
        """As many in a turn as it has time for, one where that is not known; fewer where memory is short."""
        if isinstance(rows, OwnCourse) or rows.end == 0 or rows.pixels is not None:
            return stages.decode(rows)
        kind = _kind(rows)
        images: list[Image.Image] = []
        most = rows.count
        while left := rows.count - len(images):
            if images:
                yield
            present()
            asked = min(left, most, max(1, int(TURN_S / self._decoding.get(kind, TURN_S))))
            began = self._clock()
            fresh = self._decode(rows, len(images), asked)
            self._decoding[kind] = max(EPSILON_S, (self._clock() - began) / len(fresh))
            most = len(fresh) if len(fresh) < asked else most
            images += fresh
        return images

    def _decode(self, rows: Rows, first: int, most: int) -> list[Image.Image]:
        """As many as memory holds: at most so many, or one."""

        def once() -> list[Image.Image]:
            if most > 1:
                return stages.decode(rows, first, most)
            free(self._device)
            return eased(rows.family, partial(stages.decode, rows, first, 1), self._ease, tile=rows.spec.tile)

        def alone() -> bool:
            nonlocal most
            before, most = most, 1
            return before > 1

        return in_less_memory(once, alone)

    def _resized(
        self,
        rows: Rows | OwnCourse,
        images: Sequence[Image.Image],
        size: Size,
        enlarged: Callable[[], None],
    ) -> Pictures:
        def run(piece: Callable[[], T]) -> T:
            done = in_less_memory(piece, lambda: self._ease(rows.family))
            enlarged()
            return done

        large = []
        for image in images:
            if image.size == size:
                large.append(image)
                continue
            upscaler = in_less_memory(partial(self._upscaler, rows), lambda: self._ease(rows.family))
            large.append((yield from upscaler.turns(image, size, rows.spec.tile, run)))
        return large

    def _upscaler(self, rows: Rows | OwnCourse) -> Upscaler:
        name = rows.family.profile.upscaler
        if name not in self._upscalers:
            self._upscalers[name] = Upscaler(name, self._device)
        return self._upscalers[name]


def _kind(rows: Rows) -> Hashable:
    """Pictures that take equally long to decode."""
    return rows.spec.model, rows.spec.width, rows.spec.height


def _second_pass(rows: Rows | OwnCourse) -> GenerationSpec | None:
    """Models that go their own way have none."""
    own = isinstance(rows, OwnCourse)
    return None if own else stages.second_pass(rows.spec, rows.family.profile.info.size_multiple)


def _shown_size(rows: Rows | OwnCourse, spec: GenerationSpec) -> Size:
    factor = rows.family.profile.info.upscale * (spec.hires.scale if spec.hires else 1)
    return round(spec.width * factor), round(spec.height * factor)
