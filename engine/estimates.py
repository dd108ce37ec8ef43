"""What a job will cost, learned from what jobs cost. Torch-free; read from any thread."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from engine.api import GenerationSpec
from engine.prompting import compositions

log = logging.getLogger(__name__)
_Key = tuple[str, int, int, int, int]
"""Model, pixels of a call of the model (0: it is not called, the picture is enlarged as it is) and of the
picture that is shown, calls, images.
"""
PRIOR = 2e-6
"""Device seconds per pixel, image and step before anything ran: of the order of a small model on a CPU."""
LEARNED = 0.3
"""Weight of the newest job in the running average."""
LONGEST_S, MOST = 1e6, 2**31
"""More device seconds than any job takes, and more pixels, calls and images than any has."""
KEPT, FILE_CHARS = 512, 2**20
"""Jobs that are remembered, and the most that a file of them may hold."""
SAVE_EVERY_S = 30.0


class Estimates:
    """Device seconds by model, size, steps and number of images. What is like no job before is reckoned from
    the nearest of its model.

    With a ``file`` what was learned outlives the process; what was learned of another device is left.
    """

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._saved_at = clock()
        self._about = ""
        self._seconds: OrderedDict[_Key, float] = OrderedDict()
        self._fresh = False
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        """Of the file, which all devices' threads write."""

    def concern(self, about: str) -> None:
        """What is learned is true of this; read what was learned of it before."""
        self._about = about
        self._seconds.update(_read(self._file, about) if self._file else {})

    def learn(self, spec: GenerationSpec, seconds: float) -> None:
        """A job took so many device seconds."""
        key = _key(spec)
        with self._lock:
            known = self._seconds.get(key)
            self._seconds[key] = seconds if known is None else known + LEARNED * (seconds - known)
            self._seconds.move_to_end(key)
            if len(self._seconds) > KEPT:
                self._seconds.popitem(last=False)
            self._fresh = True

    def expect(self, spec: GenerationSpec) -> float:
        """Device seconds of ``spec`` alone."""
        key = _key(spec)
        with self._lock:
            if (known := self._seconds.get(key)) is not None:
                return known
            like = {
                other: cost
                for other, cost in self._seconds.items()
                if other[0] == key[0] and bool(other[1]) == bool(key[1])
            }
        if not like:
            return PRIOR * _work(key)
        same = {other: cost for other, cost in like.items() if other[1:3] == key[1:3]}
        return _reckoned(key, same or like)

    def save(self, *, now: bool = False) -> None:
        """Write what is new, now and then or ``now``. A full disk is no fault."""
        if self._file is None or not self._fresh:
            return
        with self._saving:
            if not self._fresh or (not now and self._clock() - self._saved_at < SAVE_EVERY_S):
                return
            self._write(self._file)

    def _write(self, file: Path) -> None:
        with self._lock:
            self._saved_at, self._fresh = self._clock(), False
            content = {"about": self._about, "seconds": [[*key, cost] for key, cost in self._seconds.items()]}
        try:
            growing = file.with_name(file.name + ".new")
            growing.write_text(json.dumps(content), encoding="utf-8")
            growing.replace(file)
        except OSError as error:
            log.warning("what jobs cost cannot be written to %s: %s", file, error)


def _key(spec: GenerationSpec) -> _Key:
    """Equal for jobs that take equally long."""
    strength = spec.init.strength if spec.init else 1.0
    calls = spec.steps * strength * spec.stop
    shown = spec.width * spec.height
    pixels: float = shown
    if spec.hires is not None:
        shown = round(shown * spec.hires.scale**2)
        second = spec.steps * spec.hires.strength
        pixels = (pixels * calls + shown * second) / max(calls + second, 1e-9)
        calls += second
    branches = int(spec.guidance_scale > 1) + len(compositions(spec.prompt))
    return spec.model, round(pixels), shown, max(1, round(calls * branches)), spec.count


def _reckoned(key: _Key, known: dict[_Key, float]) -> float:
    """From the nearest in work; where two amounts of it are known, along the line through them."""
    work = _work(key)
    nearest = sorted(known, key=lambda other: abs(_work(other) - work))
    first, cost = nearest[0], known[nearest[0]]
    other = next((other for other in nearest if _work(other) != _work(first)), None)
    if other is None or other[1:3] != key[1:3]:
        return cost * work / _work(first)
    slope = (known[other] - cost) / (_work(other) - _work(first))
    least = cost * min(1.0, work / _work(first))
    return max(least, cost + max(0.0, slope) * (work - _work(first)))


def _work(key: _Key) -> int:
    return (key[1] or key[2]) * key[3] * key[4]


def _read(file: Path, about: str) -> dict[_Key, float]:
    """What was learned; nothing where the file is none of ours, or tells of another device."""
    try:
        with file.open(encoding="utf-8") as text:
            content = json.loads(text.read(FILE_CHARS))
        if content["about"] != about:
            return {}
        learned = {
            (str(model), int(pixels), int(shown), int(calls), int(images)): float(cost)
            for model, pixels, shown, calls, images, cost in content["seconds"][-KEPT:]
        }
        return {key: cost for key, cost in learned.items() if _likely(key, cost)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        log.warning("what jobs cost cannot be read from %s: %s", file, error)
        return {}


def _likely(key: _Key, cost: float) -> bool:
    """Whether a job can have taken so long: one number that is none would upset all turns."""
    counts = min(key[1:]) >= 0 and min(key[2:]) > 0 and max(key[1:]) < MOST
    return counts and 0 < cost < LONGEST_S
