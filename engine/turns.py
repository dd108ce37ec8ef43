"""Tickets that have not begun, in the order in which their users' turns come. Torch-free.

Nothing here looks at more than what it returns: a queue of 10,000 costs a logarithm.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import count

from engine.api import Lane

SLACK = 64
"""Items of a heap that may count no longer, beside as many as do."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Rows that step together. ``key`` names them; ``group`` is equal for what can share a forward pass."""

    key: Hashable
    user: str
    lane: Lane
    rows: int
    group: Hashable
    cost: float = 0.0
    """Expected device seconds from the first step to the pictures."""
    share: float = 1.0
    """Weight of the user: with 2.0 twice the device time of one with 1.0."""
    model: str = ""
    job: Hashable = None
    """Tickets of one job stay on one device; None: this one is a job of its own."""

    @property
    def price(self) -> float:
        """Virtual seconds: cost by the user's weight."""
        return self.cost / self.share


@dataclass(slots=True, eq=False)
class Account:
    """A user's place in virtual time, in one lane."""

    finish: float
    """What was begun for the user is paid for until then; the next ticket begins here."""


@dataclass(slots=True, eq=False)
class Entry:
    """A ticket with where it stands."""

    ticket: Ticket
    number: int
    """By arrival."""
    lane: int
    account: Account
    rank: float = 0.0
    """Virtual time of its beginning, once it has begun."""
    spent: float = 0.0
    slice: float = 0.0
    """Virtual seconds spent since its rank was set."""
    place: int | None = None
    """The device that it began on."""

    @property
    def start(self) -> float:
        """Virtual time of its beginning, as far as that is known."""
        return self.account.finish if self.place is None else self.rank


Turn = tuple[float, int]
"""Virtual time, then arrival."""
_Item = tuple[float, int, int, int, "Iterator[Entry] | None"]
"""Turn, then what tells equals apart; a place in the heap (or -1 and the rest of a queue)."""


class Line:
    """Entries alike in something: users in turn, each user's oldest first; what has begun has its own turn.

    A heap that may lag behind: virtual time only grows, so what comes up too early is put back where it
    belongs. Where it shrinks, :meth:`touch` says so.
    """

    def __init__(self) -> None:
        self._queues: dict[Hashable, OrderedDict[Hashable, Entry]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._valid: dict[Hashable, Turn] = {}
        """The one item of each queue in the heap that counts."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry) -> None:
        """Behind the others of its user."""
        self._count += 1
        who = _queue_of(entry)
        self._queues.setdefault(who, OrderedDict())[entry.ticket.key] = entry
        if len(self._queues[who]) == 1:
            self.touch(who)

    def discard(self, entry: Entry) -> None:
        """Forget an entry, wherever it stands."""
        self._count -= 1
        who = _queue_of(entry)
        queue = self._queues[who]
        del queue[entry.ticket.key]
        if not queue:
            del self._queues[who]

    def touch(self, who: Hashable) -> None:
        """The user's turn may come sooner now."""
        if who in self._queues and self._valid.get(who) != (turn := self._turn(who)):
            self._valid[who] = turn
            heapq.heappush(self._heap, (*turn, who))
            if len(self._heap) > SLACK + 2 * len(self._queues):
                self._tidy()

    def _tidy(self) -> None:
        """Forget what no longer counts: who drops a job and orders another leaves an item each time."""
        self._valid = {who: turn for who, turn in self._valid.items() if who in self._queues}
        self._heap = [(*turn, who) for who, turn in self._valid.items()]
        heapq.heapify(self._heap)

    def first(self) -> Entry | None:
        """Whose turn is next; None when nobody waits."""
        while self._heap:
            time, number, who = self._heap[0]
            if self._valid.get(who) != (time, number):
                heapq.heappop(self._heap)
            elif who not in self._queues:
                heapq.heappop(self._heap)
                del self._valid[who]
            elif (time, number) != (turn := self._turn(who)):
                self._valid[who] = turn
                heapq.heapreplace(self._heap, (*turn, who))
            else:
                return next(iter(self._queues[who].values()))
        return None

    def in_turn(self) -> Iterator[tuple[Turn, Entry]]:
        """One after another, each user's next as if those before were served; nothing may change meanwhile.

        A walk from the heap's top that leaves the heap as it is (Frederickson 1993, selection in a heap).
        """
        ties = count()
        ahead: list[_Item] = []
        if self.first() is not None:
            ahead.append((*self._heap[0][:2], next(ties), 0, None))
        while ahead:
            time, number, _, index, rest = heapq.heappop(ahead)
            if index >= 0:
                for child in range(2 * index + 1, min(2 * index + 3, len(self._heap))):
                    heapq.heappush(ahead, (*self._heap[child][:2], next(ties), child, None))
                rest = self._waiting(index)
                turn = self._turn(self._heap[index][2]) if rest else (time, number)
                if rest and turn != (time, number):
                    heapq.heappush(ahead, (*turn, next(ties), -1, rest))
                    continue
            entry = next(rest, None) if rest else None
            if entry is not None:
                yield (time, entry.number), entry
                heapq.heappush(ahead, (time + entry.ticket.price, entry.number + 1, next(ties), -1, rest))

    def _waiting(self, index: int) -> Iterator[Entry] | None:
        """The queue of an item of the heap; None where the item no longer counts."""
        time, number, who = self._heap[index]
        if self._valid.get(who) != (time, number) or who not in self._queues:
            return None
        return iter(self._queues[who].values())

    def _turn(self, who: Hashable) -> Turn:
        oldest = next(iter(self._queues[who].values()))
        return oldest.start, oldest.number


def _queue_of(entry: Entry) -> Hashable:
    return entry.ticket.user if entry.place is None else entry.ticket.key
