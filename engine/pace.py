"""How long a step takes by its number of rows, learned; and so whether rows should share one. Torch-free."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

ENOUGH = 4
"""Steps of a size before its time is believed."""
LEARNED = 0.2
"""Weight of the newest step in the running average."""
GAIN = 0.03
"""Share of the device's time that sharing a pass must save: where it saves less, both only end later."""
STRETCH = 0.15
"""How much longer a step may take for the sake of rows whose turn is not yet."""
KEPT = 64


@dataclass(slots=True)
class _Size:
    steps: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Curve:
    """Seconds of a step by its rows: ``fixed + each * rows``, through what was measured."""

    sizes: dict[int, _Size] = field(default_factory=dict)

    def learn(self, rows: int, seconds: float) -> None:
        size = self.sizes.setdefault(rows, _Size(seconds=seconds))
        size.steps += 1
        # The first steps of a size allocate, compile and choose kernels.
        weight = 1 / size.steps if size.steps <= ENOUGH else LEARNED
        size.seconds += weight * (seconds - size.seconds)

    def known(self, rows: int) -> bool:
        size = self.sizes.get(rows)
        return size is not None and size.steps >= ENOUGH

    def fitted(self) -> tuple[float, float] | None:
        """(fixed, each) by least squares; None before two sizes are known."""
        known = [(rows, size.seconds) for rows, size in self.sizes.items() if size.steps >= ENOUGH]
        if len(known) < 2:
            return None
        middle = sum(rows for rows, _ in known) / len(known)
        level = sum(seconds for _, seconds in known) / len(known)
        spread = sum((rows - middle) ** 2 for rows, _ in known)
        each = sum((rows - middle) * (seconds - level) for rows, seconds in known) / spread
        return max(0.0, level - each * middle), max(1e-12, each)


class Pace:
    """Step times of the last :data:`KEPT` groups."""

    def __init__(self) -> None:
        self._curves: OrderedDict[Hashable, _Curve] = OrderedDict()

    def learn(self, group: Hashable, rows: int, seconds: float) -> None:
        """A step of so many rows took so long."""
        self._curves.setdefault(group, _Curve()).learn(rows, seconds)
        self._curves.move_to_end(group)
        if len(self._curves) > KEPT:
            self._curves.popitem(last=False)

    def welcome(self, group: Hashable, rows: int, more: int, *, early: bool) -> bool:
        """Whether ``more`` rows should share a step with ``rows``.

        Yes where too little is known; no, for a few steps, where only the larger size is known yet. ``early``
        rows, whose turn comes later, may not hold up the others; the rest only have to save something.
        """
        curve = self._curves.get(group)
        if curve is None:
            return True
        if curve.known(rows + more) and not curve.known(rows):
            return False
        if (line := curve.fitted()) is None:
            return True
        fixed, each = line
        if early:
            return each * more <= STRETCH * (fixed + each * rows)
        return fixed >= GAIN * (2 * fixed + each * (rows + more))
