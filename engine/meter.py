"""Seconds of a device that may be one step behind what it was told, charged to who made each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch

Charge = Callable[[float], None]
"""Told the seconds that something took, once it is over."""


class End(Protocol):
    """Stands in a device's queue behind what was queued before it."""

    def synchronize(self) -> None:
        """Wait until the device comes by."""
        ...


class Meter:
    """While a step runs the next one is queued, and no more than that: a device that waits for Python idles,
    and a cancel waits for what is queued. ``clock`` in seconds.

    A step's seconds are those between the end before it and its own, as far as they were looked at. Where
    steps are over when they return nothing is ever pending.
    """

    def __init__(self, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self._device = device
        self._clock = clock
        self._pending: tuple[End | None, Charge] | None = None
        self._since = 0.0
        """When what is charged next began."""

    def begin(self) -> None:
        """A step is about to be queued; its time runs from now, unless another is still at work."""
        if self._pending is None:
            self._since = self._clock()

    def queued(self, charge: Charge) -> None:
        """All of a step is queued: wait for the one before it."""
        end = self._end()
        self.settle()
        self._pending = (end, charge)
        if end is None:
            self.settle()

    def settle(self) -> None:
        """Wait for the step that is pending, if one is, and charge it."""
        if self._pending is None:
            return
        (end, charge), self._pending = self._pending, None
        if end is not None:
            end.synchronize()
        began, self._since = self._since, self._clock()
        charge(self._since - began)

    @contextmanager
    def apart(self, charge: Charge) -> Iterator[None]:
        """What runs inside is no step: it begins when the last one is over, and is over itself at the end."""
        self.settle()
        self.begin()
        try:
            yield
        finally:
            self.queued(charge)
            self.settle()

    def _end(self) -> End | None:
        """Behind what is queued now; None where that is over already."""
        if self._device.type != "cuda":
            return None
        end = torch.cuda.Event()  # type: ignore[no-untyped-call]
        end.record(torch.cuda.current_stream(self._device))
        return end
