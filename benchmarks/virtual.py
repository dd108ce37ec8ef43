"""A device in virtual time under the engine's own scheduler, and under two simpler ones to compare with.

Steps take ``fixed + each * rows`` seconds. Nothing is measured here but decisions, so the figures are the
same on any machine, busy or idle. Torch-free.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from engine.api import Lane
from engine.estimates import LEARNED
from engine.scheduler import Scheduler, Ticket

STEPS, ROWS, MOST = 20, 4, 8
"""Of a grid, and of a plan."""


class Order(Protocol):
    """Which tickets run in the next step."""

    def add(self, ticket: Ticket) -> None: ...

    def remove(self, key: Hashable) -> None: ...

    def plan(self) -> tuple[Ticket, ...]: ...

    def update(self, seconds: Mapping[Hashable, float]) -> None: ...


class FirstCome:
    """One job at a time, in the order in which they came: what every other bot does."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[Hashable, Ticket] = OrderedDict()

    def add(self, ticket: Ticket) -> None:
        self._tickets[ticket.key] = ticket

    def remove(self, key: Hashable) -> None:
        del self._tickets[key]

    def plan(self) -> tuple[Ticket, ...]:
        return tuple(self._tickets.values())[:1]

    def update(self, seconds: Mapping[Hashable, float]) -> None:
        return


class RoundRobin(FirstCome):
    """One job at a time, to its end; users take turns."""

    def __init__(self) -> None:
        super().__init__()
        self._current: Hashable = None
        self._users: OrderedDict[str, None] = OrderedDict()

    def plan(self) -> tuple[Ticket, ...]:
        for user in dict.fromkeys(ticket.user for ticket in self._tickets.values()):
            if user not in self._users:
                self._users[user] = None
                self._users.move_to_end(user, last=False)
        if self._current not in self._tickets:
            waiting = {ticket.user for ticket in self._tickets.values()}
            turn = next((user for user in self._users if user in waiting), None)
            if turn is None:
                return ()
            self._users.move_to_end(turn)
            self._current = next(key for key, ticket in self._tickets.items() if ticket.user == turn)
        return (self._tickets[self._current],)


@dataclass(slots=True)
class Device:
    """Runs jobs step by step and notes when each one began and ended, and what each user got."""

    fixed: float
    each: float
    order: Order | None = None
    now: float = 0.0
    came: dict[Hashable, float] = field(default_factory=dict)
    began: dict[Hashable, float] = field(default_factory=dict)
    ended: dict[Hashable, float] = field(default_factory=dict)
    served: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    left: dict[Hashable, int] = field(default_factory=dict)
    spent: defaultdict[Hashable, float] = field(default_factory=lambda: defaultdict(float))
    learned: dict[tuple[int, int], float] = field(default_factory=dict)
    """What jobs of so many rows and steps took, as the engine learns it."""
    shapes: dict[Hashable, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.order = self.order or Scheduler(MOST, clock=lambda: self.now)

    def seconds(self, rows: int, steps: int) -> float:
        """Of a job alone."""
        return steps * (self.fixed + self.each * rows)

    def submit(
        self, key: Hashable, user: str, rows: int = ROWS, steps: int = STEPS, group: Hashable = "grid"
    ) -> None:
        """A job comes now."""
        assert self.order is not None
        cost = self.learned.get((rows, steps), self.seconds(rows, steps))
        self.shapes[key] = (rows, steps)
        self.came[key], self.left[key] = self.now, steps
        self.order.add(Ticket(key, user, Lane.FAST, rows, group, cost, model="model", job=key))

    def tick(self) -> bool:
        """One step; False when nothing waits."""
        assert self.order is not None
        plan = self.order.plan()
        if not plan:
            return False
        rows = sum(ticket.rows for ticket in plan)
        took = self.fixed + self.each * rows
        for ticket in plan:
            self.began.setdefault(ticket.key, self.now)
        self.now += took
        shares = {ticket.key: took * ticket.rows / rows for ticket in plan}
        self.order.update(shares)
        for ticket in plan:
            self._step(ticket, shares[ticket.key])
        return True

    def _step(self, ticket: Ticket, share: float) -> None:
        assert self.order is not None
        self.served[ticket.user] += share
        self.spent[ticket.key] += share
        self.left[ticket.key] -= 1
        if not self.left[ticket.key]:
            del self.left[ticket.key]
            self.order.remove(ticket.key)
            self.ended[ticket.key] = self.now
            self._learn(self.shapes.pop(ticket.key), self.spent.pop(ticket.key))

    def _learn(self, shape: tuple[int, int], seconds: float) -> None:
        known = self.learned.get(shape, seconds)
        self.learned[shape] = known + LEARNED * (seconds - known)
