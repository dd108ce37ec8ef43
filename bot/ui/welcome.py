"""The waiting messages that are just being made: a fast job's news must not overtake them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

KEPT = 1000
"""Interactions remembered: far more than can be under way between a row's read and its message."""


class Welcomes:
    """By interaction id: the waiting message's id, or that it is still being sent."""

    def __init__(self) -> None:
        self._messages: dict[int, asyncio.Future[int | None]] = {}

    @contextmanager
    def expect(self, interaction_id: int) -> Iterator[asyncio.Future[int | None]]:
        """While the block runs, ``message_of`` waits for it; the future takes the message's id."""
        future = self._messages.setdefault(interaction_id, asyncio.get_running_loop().create_future())
        try:
            yield future
        finally:
            if not future.done():
                future.set_result(None)
            self._forget_old()

    async def message_of(self, interaction_id: int) -> int | None:
        """Id of the waiting message of an interaction of this process; None when unknown or never sent."""
        future = self._messages.get(interaction_id)
        return None if future is None else await asyncio.shield(future)

    def _forget_old(self) -> None:
        for interaction_id in list(self._messages)[:-KEPT]:
            if self._messages[interaction_id].done():
                del self._messages[interaction_id]
