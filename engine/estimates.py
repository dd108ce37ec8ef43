"""What a job will cost, learned from what jobs cost. Torch-free; read from any thread."""

from __future__ import annotations

from engine.api import GenerationSpec

_Key = tuple[str, int]
PRIOR = 2e-6
"""Device seconds per pixel, image and step before anything ran: of the order of a small model on a CPU."""
LEARNED = 0.3
"""Weight of the newest job in the running average."""


class Estimates:
    """Device seconds per image and step, by model and number of pixels; neighbours in size lend theirs."""

    def __init__(self) -> None:
        self._seconds: dict[_Key, float] = {}

    def learn(self, spec: GenerationSpec, seconds: float) -> None:
        """A job took so many device seconds."""
        key = (spec.model, spec.width * spec.height)
        per_step = seconds / (spec.steps * spec.count)
        known = self._seconds.get(key)
        self._seconds[key] = per_step if known is None else known + LEARNED * (per_step - known)

    def expect(self, spec: GenerationSpec) -> float:
        """Device seconds of ``spec`` alone."""
        return self._per_step(spec) * spec.steps * spec.count

    def _per_step(self, spec: GenerationSpec) -> float:
        pixels = spec.width * spec.height
        if (known := self._seconds.get((spec.model, pixels))) is not None:
            return known
        others = {size: cost for (model, size), cost in list(self._seconds.items()) if model == spec.model}
        if not others:
            return PRIOR * pixels
        nearest = min(others, key=lambda size: abs(size - pixels))
        return others[nearest] * pixels / nearest
