"""Which rows run in the next tick: fair among users by cost, fast before relaxed, torch-free.

Each user's service is counted in device seconds per lane, and who had least goes first: start-time fair
queueing (Goyal, Vin & Cheng 1996, doi:10.1109/90.649569) with the step as the packet. A user who comes back
from idling starts level with the least served of those who wait, so that idling saves nothing up. Rows that
fit the leader's forward pass ride along.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass

from engine.api import Lane

_PRIORITY = {lane: place for place, lane in enumerate(Lane)}
_Owner = tuple[int, str]
"""Priority of the lane, then the user."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Rows that step together. ``key`` names them; ``group`` is equal for what can share a forward pass."""

    key: Hashable
    user: str
    lane: Lane
    rows: int
    group: Hashable


class Scheduler:
    """Tickets in, plans out. ``max_rows`` is the most rows of one plan (a larger ticket runs alone)."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._queues: dict[_Owner, dict[Hashable, Ticket]] = {}
        self._owners: dict[Hashable, _Owner] = {}
        self._served: dict[_Owner, float] = {}
        self._row_seconds = 1e-3

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, ticket: Ticket) -> None:
        """Queue a ticket behind the others of its user; ValueError when its key is already here."""
        if ticket.key in self._owners:
            raise ValueError(f"{ticket.key!r} is already scheduled")
        owner = (_PRIORITY[ticket.lane], ticket.user)
        if owner not in self._queues:
            self._served[owner] = max(self._served.get(owner, 0.0), self._least_served(owner[0]))
        self._owners[ticket.key] = owner
        self._queues.setdefault(owner, {})[ticket.key] = ticket

    def remove(self, key: Hashable) -> None:
        """Forget a ticket that is done, failed or cancelled; unknown keys are ignored."""
        owner = self._owners.pop(key, None)
        if owner is None:
            return
        queue = self._queues[owner]
        del queue[key]
        if not queue:
            del self._queues[owner]
        if not self._owners:
            self._served.clear()

    def plan(self) -> tuple[Ticket, ...]:
        """The rows of the next tick, the least served user's first; empty when nothing waits."""
        chosen: list[Ticket] = []
        room = self._max_rows
        for ticket in self._in_turn():
            if not chosen or (ticket.group == chosen[0].group and ticket.rows <= room):
                chosen.append(ticket)
                room -= ticket.rows
            if room <= 0:
                break
        return tuple(chosen)

    def update(self, seconds: Mapping[Hashable, float]) -> None:
        """Count the device seconds that each ticket of the last plan took against its user."""
        for key, spent in seconds.items():
            owner = self._owners.get(key)
            if owner is not None:
                self._served[owner] += spent
                rows = self._queues[owner][key].rows
                self._row_seconds += 0.1 * (spent / rows - self._row_seconds)

    def _in_turn(self) -> Iterator[Ticket]:
        """Tickets by lane, then least served user, then age; each one taken counts as served at once."""
        cursors = {owner: iter(queue.values()) for owner, queue in self._queues.items()}
        heap = [
            (owner[0], self._served[owner], position, owner) for position, owner in enumerate(self._queues)
        ]
        heapq.heapify(heap)
        while heap:
            lane, served, position, owner = heapq.heappop(heap)
            ticket = next(cursors[owner], None)
            if ticket is not None:
                yield ticket
                heapq.heappush(heap, (lane, served + ticket.rows * self._row_seconds, position, owner))

    def _least_served(self, lane: int) -> float:
        return min((self._served[owner] for owner in self._queues if owner[0] == lane), default=0.0)
