"""Which rows run in the next tick: fair among users by cost, turbo before fast before relaxed, torch-free.

Start-time fair queueing (Goyal, Vin & Cheng 1996, doi:10.1109/90.649569), a job being the packet and its step
the unit of preemption. Jobs run in the order of the virtual time at which they begin, so that equals end one
after another and not all of them late; a job that takes much longer than usual gives way in between. Who
comes back from idling begins an ordinary job's cost ahead of those who wait (borrowed virtual time, Duda &
Cheriton 1999, doi:10.1145/319344.319169): that lets a light user through at once, is paid for afterwards, and
is all that idling saves up. Rows that fit the leader's forward pass ride along where that pays.

A lane's jobs run before those of the next; once a lane got nothing for ``patience`` seconds, each of its
users who got nothing for as long has one ticket moved up. A model that is not loaded waits until its turn is
due by more than loading costs, or its user got nothing for as long; and for longer where another device would
come to it sooner.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from engine.api import Lane
from engine.pace import Pace
from engine.turns import Account, Entry, Line, Turn
from engine.turns import Ticket as Ticket

_PRIORITY = {lane: place for place, lane in enumerate(Lane)}
_Owner = tuple[int, str]
"""Priority of the lane, then the user."""
SLICE = 2.0
"""Ordinary jobs' worth of virtual time after which a long job gives way."""
PATIENCE_S = 600.0
LOOKS = 64
"""Tickets that one plan looks at for the room that is left, and that it moves up a lane."""
LEARNED = 0.1
"""Weight of the newest job in what is ordinary."""
AHEAD = 1.0
"""Ordinary jobs by which a rider's turn may lie ahead while other groups wait."""
EPSILON = 1e-9


class Scheduler:
    """Tickets in, plans out. ``max_rows`` is the most rows of one plan (a larger ticket runs alone).

    ``loading(model, place)`` says how many seconds it takes until a model can run on a device: 0 for a loaded
    one. Not safe for use by several threads at once.
    """

    def __init__(
        self,
        max_rows: int,
        *,
        loading: Callable[[str, int], float] = lambda model, place: 0.0,
        patience: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_rows = max_rows
        self._loading = loading
        self._patience = patience
        self._clock = clock
        self._entries: dict[Hashable, Entry] = {}
        self._jobs: dict[Hashable, OrderedDict[Hashable, Entry]] = {}
        self._accounts: dict[_Owner, Account] = {}
        self._owned: dict[_Owner, OrderedDict[Hashable, Entry]] = {}
        self._quiet: list[OrderedDict[str, float]] = [OrderedDict() for _ in Lane]
        """When each user of a lane was last served or began to wait, the longest first."""
        self._served_at = [-math.inf] * len(Lane)
        """When each lane last had a turn with a job of its own: who rides along uses up nobody's turn."""
        self._models: dict[tuple[int | None, int, str], Line] = {}
        """By the device that it began on, lane and model."""
        self._groups: dict[tuple[int | None, int, Hashable], Line] = {}
        self._now = [0.0] * len(Lane)
        """Virtual time of each lane."""
        self._crowd: Counter[tuple[int | None, int]] = Counter()
        """Tickets by device and lane."""
        self._begun: dict[int, dict[Hashable, Entry]] = {}
        """Tickets that began, on each device that takes part."""
        self._waits = 0.0
        """Expected seconds of what has not begun."""
        self._ordinary = 0.0
        """Virtual seconds of a job: of the first that came, until some have ended."""
        self._ended = 0
        self._numbers = 0
        self._pace = Pace()

    def __len__(self) -> int:
        return len(self._entries)

    def join(self, place: int) -> None:
        """A device that asks for plans from now on: what it can do sooner the others leave to it."""
        self._begun[place] = {}

    def leave(self, place: int) -> None:
        """A device that asks no more."""
        del self._begun[place]

    def add(self, ticket: Ticket) -> None:
        """Queue a ticket behind the others of its user; ValueError when its key is already here."""
        if ticket.key in self._entries:
            raise ValueError(f"{ticket.key!r} is already scheduled")
        self._ordinary = self._ordinary or ticket.price
        self._numbers += 1
        priority = _PRIORITY[ticket.lane]
        entry = Entry(ticket, self._numbers, priority, self._account(priority, ticket))
        self._entries[ticket.key] = entry
        siblings = self._jobs.setdefault(ticket.job or ticket.key, OrderedDict())
        place = next((sibling.place for sibling in siblings.values()), None)
        siblings[ticket.key] = entry
        self._enter(entry)
        if place is not None:
            self._begin(entry, place)

    def remove(self, key: Hashable) -> None:
        """Forget a ticket that is done, failed or cancelled; unknown keys are ignored."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        if entry.spent > 0:
            self._ended += 1
            # Whatever was expected of the first, what they took is all that is known.
            weight = max(LEARNED, 1 / self._ended)
            self._ordinary += weight * (entry.spent / entry.ticket.share - self._ordinary)
        self._leave(entry)
        job = entry.ticket.job or key
        del self._jobs[job][key]
        if not self._jobs[job]:
            del self._jobs[job]
        if not self._entries:
            self._accounts.clear()
            self._now = [0.0] * len(Lane)
            self._waits = 0.0

    def replace(self, ticket: Ticket) -> None:
        """The ticket of the same key goes on as this one, on the device where it is."""
        place = self._entries[ticket.key].place
        self.remove(ticket.key)
        self.add(ticket)
        if place is not None:
            self._begin(self._entries[ticket.key], place)

    def set_apart(self, key: Hashable) -> None:
        """From now on the ticket shares its passes with no other; its turn stays what it is."""
        entry = self._entries[key]
        self._line_off(entry)
        entry.ticket = replace(entry.ticket, group=("apart", key))
        self._line_up(entry)

    def plan(self, place: int = 0) -> tuple[Ticket, ...]:
        """The rows of a device's next tick, those whose turn it is first; empty when nothing waits for it.

        What has been planned once stays on its device.
        """
        self._promote()
        leader = self._leader(place)
        if leader is None:
            return ()
        self._now[leader.lane] = max(self._now[leader.lane], leader.start)
        if leader.lane == _PRIORITY[leader.ticket.lane]:
            self._served_at[leader.lane] = self._clock()
        chosen = [leader, *self._riders(leader, place)]
        for entry in chosen:
            for sibling in self._jobs[entry.ticket.job or entry.ticket.key].values():
                self._begin(sibling, place)
        return tuple(entry.ticket for entry in chosen)

    def update(self, seconds: Mapping[Hashable, float]) -> None:
        """Count the device seconds that each ticket of the last plan took against its user."""
        entries = [(self._entries[key], spent) for key, spent in seconds.items() if key in self._entries]
        for entry, spent in entries:
            self.charge(entry.ticket.key, spent)
        if entries:
            rows = sum(entry.ticket.rows for entry, _ in entries)
            self._pace.learn(entries[0][0].ticket.group, rows, sum(spent for _, spent in entries))

    def charge(self, key: Hashable, seconds: float) -> None:
        """Count device seconds beside a plan's (texts, decoding); unknown keys are ignored."""
        if (entry := self._entries.get(key)) is None:
            return
        ticket, quiet = entry.ticket, self._quiet[entry.lane]
        before = max(0.0, entry.spent - ticket.cost)
        entry.spent += seconds
        entry.account.finish += (max(0.0, entry.spent - ticket.cost) - before) / ticket.share
        entry.slice += seconds / ticket.share
        if entry.slice >= SLICE * self._ordinary:
            entry.rank += entry.slice
            entry.slice = 0.0
        quiet[ticket.user] = self._clock()
        quiet.move_to_end(ticket.user)

    def _account(self, lane: int, ticket: Ticket) -> Account:
        """The user's account; who comes from idling is as far ahead as an ordinary job costs, whatever their
        own costs: so those who came before are never passed.
        """
        owner = (lane, ticket.user)
        if owner not in self._owned:
            self._catch_up(lane)
            # Of what lies further back than anyone may borrow, nothing need be remembered.
            start = self._now[lane] - self._ordinary
            known = self._accounts.get(owner)
            if len(self._accounts) > 2 * len(self._owned) + 1000:
                self._forget()  # Before the new one, which nothing holds on to yet.
            self._accounts[owner] = Account(max(known.finish, start) if known else start)
        return self._accounts[owner]

    def _catch_up(self, lane: int) -> None:
        """Virtual time is that of the first in turn, and never less than it was."""
        firsts = [line.first() for (_, own, _), line in self._models.items() if own == lane]
        if starts := [entry.start for entry in firsts if entry is not None]:
            self._now[lane] = max(self._now[lane], min(starts))

    def _forget(self) -> None:
        self._accounts = {
            owner: account
            for owner, account in self._accounts.items()
            if owner in self._owned or account.finish > self._now[owner[0]] - self._ordinary
        }

    def _enter(self, entry: Entry) -> None:
        owner = (entry.lane, entry.ticket.user)
        self._owned.setdefault(owner, OrderedDict())[entry.ticket.key] = entry
        self._quiet[entry.lane].setdefault(entry.ticket.user, self._clock())
        self._line_up(entry)

    def _leave(self, entry: Entry) -> None:
        owner = (entry.lane, entry.ticket.user)
        self._line_off(entry)
        if entry.place is not None:
            self._refund(entry)
        del self._owned[owner][entry.ticket.key]
        if not self._owned[owner]:
            del self._owned[owner]
            self._quiet[entry.lane].pop(entry.ticket.user, None)

    def _line_up(self, entry: Entry) -> None:
        place, lane, ticket = entry.place, entry.lane, entry.ticket
        self._crowd[place, lane] += 1
        if place is None:
            self._waits += ticket.cost
        elif place in self._begun:
            self._begun[place][ticket.key] = entry
        self._models.setdefault((place, lane, ticket.model), Line()).add(entry)
        self._groups.setdefault((place, lane, ticket.group), Line()).add(entry)

    def _line_off(self, entry: Entry) -> None:
        self._crowd[entry.place, entry.lane] -= 1
        if entry.place is None:
            self._waits -= entry.ticket.cost
        elif entry.place in self._begun:
            del self._begun[entry.place][entry.ticket.key]
        model = (entry.place, entry.lane, entry.ticket.model)
        group = (entry.place, entry.lane, entry.ticket.group)
        self._models[model].discard(entry)
        self._groups[group].discard(entry)
        if not self._models[model]:
            del self._models[model]
        if not self._groups[group]:
            del self._groups[group]

    def _refund(self, entry: Entry) -> None:
        """What was expected and not spent; the user's next turn comes that much sooner, though no sooner than
        for who comes from idling: what was expected may have been any number.
        """
        unspent = entry.ticket.price - entry.spent / entry.ticket.share
        if unspent > 0:
            least = min(entry.account.finish, self._now[entry.lane] - self._ordinary)
            entry.account.finish = max(entry.account.finish - unspent, least)
            for (place, lane, _), line in self._models.items():
                if place is None and lane == entry.lane:
                    line.touch(entry.ticket.user)

    def _begin(self, entry: Entry, place: int) -> None:
        """From now on the ticket is this device's, and paid for until its expected end."""
        if entry.place is not None:
            return
        self._line_off(entry)
        entry.place, entry.rank = place, entry.account.finish
        entry.account.finish += entry.ticket.price
        self._line_up(entry)

    def _promote(self) -> None:
        """One ticket of each user who waited too long in a lane that is not served goes one lane up."""
        now = self._clock()
        for lane, quiet in enumerate(self._quiet):
            unserved = lane > 0 and now - self._served_at[lane] >= self._patience
            # A crowd that came together moves up over some plans, so that none of them takes long.
            for user, since in list(islice(quiet.items(), LOOKS if unserved else 0)):
                if now - since < self._patience:
                    break
                quiet[user] = now
                quiet.move_to_end(user)
                self._raise(next(iter(self._owned[lane, user].values())))

    def _raise(self, entry: Entry) -> None:
        place = entry.place
        self._leave(entry)
        entry.lane -= 1
        entry.place = None
        entry.account = self._account(entry.lane, entry.ticket)
        self._enter(entry)
        if place is not None:
            self._begin(entry, place)
            # What was spent is paid for in the lane that it was spent in.
            entry.account.finish -= min(entry.ticket.price, entry.spent / entry.ticket.share)

    def _leader(self, place: int) -> Entry | None:
        """Who goes first on a device: by lane, then virtual time, then arrival."""
        best: tuple[int, float, int] | None = None
        leader: Entry | None = None
        for (at, lane, model), line in self._models.items():
            if at not in (None, place) or (entry := line.first()) is None:
                continue
            loading = self._handicap(entry, model, place)
            if at is None and self._left(entry, place, loading):
                continue
            # What could not be loaded is not held back: it fails again, or not, when its turn comes.
            lag = loading if math.isfinite(loading) else 0.0
            turn = (lane, entry.start + lag, entry.number)
            if best is None or turn < best:
                best, leader = turn, entry
        return leader

    def _handicap(self, entry: Entry, model: str, place: int) -> float:
        """What loading its model costs; nothing for whom that has kept waiting long enough."""
        loading = self._loading(model, place)
        waited = self._clock() - self._quiet[entry.lane][entry.ticket.user] if loading else 0.0
        return loading if waited < self._patience else 0.0

    def _left(self, entry: Entry, place: int, loading: float) -> bool:
        """Whether another device would come to it before its model is here, even after all that waits."""
        # Never less than nothing, by rounding: two devices would leave it to each other for ever.
        before = max(0.0, self._waits - entry.ticket.cost)
        return any(
            self._occupied(begun) + before + self._loading(entry.ticket.model, other) < loading
            for other, begun in self._begun.items()
            if other != place
        )

    @staticmethod
    def _occupied(begun: Mapping[Hashable, Entry]) -> float:
        """Seconds that what a device has begun still takes; what took longer than expected, as long again."""
        return sum(abs(entry.ticket.cost - entry.spent) for entry in begun.values())

    def _places(self, leader: Entry, place: int) -> tuple[int | None, ...]:
        """Where those that ride along may be: what waits is left to a device that could begin it now."""
        model = leader.ticket.model
        idle = (other for other, begun in self._begun.items() if other != place and not begun)
        return (place,) if any(not self._loading(model, other) for other in idle) else (place, None)

    def _riders(self, leader: Entry, place: int) -> list[Entry]:
        """Those of the leader's group that share its step: its own lane first, then the others."""
        riders: list[Entry] = []
        room = self._max_rows - leader.ticket.rows
        places = self._places(leader, place) if room > 0 else ()
        for lane in sorted(_PRIORITY.values(), key=lambda lane: (lane != leader.lane, lane)):
            most = self._horizon(leader, place) if lane == leader.lane else math.inf
            for (rank, _), entry in islice(self._alike(leader.ticket.group, lane, places), LOOKS):
                if room <= 0:
                    return riders
                if entry is leader or entry.ticket.rows > room:
                    continue
                if rank > most or not self._welcome(leader, self._max_rows - room, entry, rank):
                    break
                riders.append(entry)
                room -= entry.ticket.rows
        return riders

    def _horizon(self, leader: Entry, place: int) -> float:
        """Whose turn comes later does not ride past those of other groups who wait."""
        here = [(at, leader.lane) for at in (place, None)]
        lines = (self._groups.get((*at, leader.ticket.group)) for at in here)
        alike = sum(len(line) for line in lines if line is not None)
        return (
            math.inf
            if alike == sum(self._crowd[at] for at in here)
            else leader.start + AHEAD * self._ordinary
        )

    def _welcome(self, leader: Entry, rows: int, entry: Entry, rank: float) -> bool:
        """Those whose turn comes much later must not hold up whose it is."""
        leeway = max(EPSILON, leader.ticket.price / 2)
        level = entry.lane == leader.lane and (
            entry.ticket.user == leader.ticket.user or rank <= leader.start + leeway
        )
        return self._pace.welcome(leader.ticket.group, rows, entry.ticket.rows, early=not level)

    def _alike(
        self, group: Hashable, lane: int, places: Collection[int | None]
    ) -> Iterator[tuple[Turn, Entry]]:
        """Of a group and a lane, at some places: those that began and those that wait, in turn."""
        lines = (self._groups.get((at, lane, group)) for at in places)
        return heapq.merge(*(line.in_turn() for line in lines if line is not None), key=_turn)


def _turn(item: tuple[Turn, Entry]) -> Turn:
    return item[0]
