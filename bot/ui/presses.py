"""Who pressed which button just now: a double click is one order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from bot.domain.sentence import say
from bot.errors import UserError

GAP_S = 2.0
"""Two presses of one person on one button closer than this are one; nobody wants the same twice so soon."""
TWICE = say("I heard you the first time: that one is on its way. For one more, press again in a moment.")


class Presses:
    """Of this process alone: a restart takes longer than a double click."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._latest: dict[tuple[int, Hashable], tuple[float, int]] = {}

    @contextmanager
    def once(self, user_id: int, button: Hashable, interaction_id: int = 0) -> Iterator[None]:
        """UserError for the second of two presses, however long the first one's block takes.

        One whose block raises does not count as a press.
        """
        now, press = self._clock(), (user_id, button)
        self._latest = {key: made for key, made in self._latest.items() if now - made[0] < GAP_S}
        if press in self._latest:
            raise UserError(TWICE)
        self._latest[press] = math.inf, interaction_id
        try:
            yield
        except BaseException:
            self._latest.pop(press, None)
            raise
        if press in self._latest:
            self._latest[press] = now, interaction_id

    def answered(self, interaction_id: int) -> None:
        """The result of a press is there: whoever presses again has seen it, and wants another."""
        self._latest = {key: made for key, made in self._latest.items() if made[1] != interaction_id}
