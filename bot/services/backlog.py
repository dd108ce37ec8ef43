"""Who is next, and how long the wait is, kept in memory; the rows stay the truth.

The same reckoning as the engine's: virtual time in each lane, jobs in the order in which their users' turns
come, users who come from idling a job ahead (``engine/scheduler.py`` says why). So what a user is told is
what will happen as far as nobody else comes; how much those who do come and go first stretch the wait is
learned, apart for each lane, and for those behind other jobs of their own, whom others pass.
"""

from __future__ import annotations

import statistics
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from bot.store.jobs import LANES, Waiting

PATIENCE_S = 600.0
"""Seconds in which a slower lane, and a user in it, get nothing, after which a job of theirs goes one up."""
LEARNED, ENOUGH = 64, 16
"""Newest waits of a kind that the next are told by, and fewest."""
FORGOTTEN_S = 3600.0
"""Seconds after which a wait tells nothing any more: a stall is not held against those who come later."""
ORDINARY = 0.1
"""Weight of the newest job in what one usually costs."""
ENDED = 0.1
"""Share left of a job that went to its end, at the last that was heard of it."""
_Owner = tuple[str, int]
_Kind = tuple[str, bool]
"""Lane, and whether other jobs of the same user come first."""


@dataclass(slots=True, eq=False)
class _Entry:
    """A job that is not done: ``place`` of its lane, ``start`` in virtual time, ``number`` by arrival."""

    owner: _Owner
    place: int
    seconds: float
    price: float
    start: float
    number: int
    since: float
    held: bool = False
    left: float = 1.0
    """Share that is still to be done."""
    kind: _Kind = ("", False)
    told: float = 0.0
    """Seconds from ``since`` in which it would be done if nobody else came; 0 where nobody was before it."""

    @property
    def turn(self) -> tuple[int, float, int]:
        return self.place, self.start, self.number


class Backlog:
    """Jobs that are queued or with the engine. ``devices`` paint at the same time; ``share`` is the weight of
    who has some roles.
    """

    def __init__(
        self,
        waiting: Iterable[Waiting] = (),
        *,
        share: Callable[[Iterable[int]], float] = lambda roles: 1.0,
        devices: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._devices = devices
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._owned: dict[_Owner, OrderedDict[str, _Entry]] = {}
        self._finish: dict[_Owner, float] = {}
        self._served: dict[_Owner, float] = {}
        self._now = dict.fromkeys(LANES, 0.0)
        self._moved: set[str] = set()
        """Lanes whose virtual time may have gone on since it was reckoned."""
        self._numbers = 0
        self._ordinary = 0.0
        """Virtual seconds of a job: of the first that came, until some have gone."""
        self._gone = 0
        self._lanes = dict.fromkeys(LANES, clock())
        """When each lane was last served."""
        self._stretches: dict[_Kind, deque[tuple[float, float]]] = {}
        """When jobs came, and the seconds that they took for each that was reckoned."""
        for job in waiting:
            self.queued(
                job.job_id,
                job.lane,
                job.user_id,
                job.seconds,
                share=share(job.role_ids),
                since=job.created_at,
            )

    def queued(
        self,
        job_id: str,
        lane: str,
        user_id: int,
        seconds: float,
        *,
        share: float = 1.0,
        since: float | None = None,
    ) -> None:
        """A job joined the queue."""
        owner = (lane, user_id)
        price = seconds / share
        self._ordinary = self._ordinary or price
        start = self._start(owner)
        self._numbers += 1
        came = self._clock() if since is None else since
        entry = _Entry(owner, LANES.index(lane), seconds, price, start, self._numbers, came)
        entry.kind = (lane, owner in self._owned)
        # What came between those who waited before a restart is not known.
        before = self._before(entry.turn)[1] if since is None else 0.0
        entry.told = before and before + seconds
        self._entries[job_id] = entry
        self._owned.setdefault(owner, OrderedDict())[job_id] = entry
        self._finish[owner] = start + price

    def handed(self, job_id: str, lane: str | None = None) -> None:
        """The engine holds the job, as one of its own lane or of another."""
        if (entry := self._entries.get(job_id)) is not None:
            entry.held = True
            self._served[entry.owner] = self._clock()
            if lane in (None, entry.owner[0]):
                self._lanes[entry.owner[0]] = self._clock()

    def progress(self, job_id: str, done: float) -> None:
        """This share of the job is done."""
        if (entry := self._entries.get(job_id)) is not None:
            entry.left = 1.0 - done

    def gone(self, job_id: str) -> None:
        """The job is done, or dropped; of one that never began its user's others come that much sooner."""
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        self._learn(entry)
        self._moved.add(entry.owner[0])
        owned = self._owned[entry.owner]
        del owned[job_id]
        if not entry.held:
            self._finish[entry.owner] -= entry.price
            for other in owned.values():
                other.start -= entry.price if other.number > entry.number else 0.0
        if not owned:
            del self._owned[entry.owner]
        if not self._entries:
            self._finish.clear()
            self._served.clear()
            self._now = dict.fromkeys(LANES, 0.0)

    def others(self, users: Collection[int]) -> bool:
        """Whether somebody waits who is not among ``users``."""
        return any(owner[1] not in users for owner in self._owned)

    def turn(self, lane: str, user_id: int, beside: int = 0) -> tuple[int, float]:
        """When a user's next job is due, ``beside`` others of theirs aside: its lane, one higher for who has
        waited too long, and virtual time.
        """
        place = LANES.index(lane)
        owned = self._owned.get((lane, user_id), OrderedDict())
        entry = next(islice((entry for entry in owned.values() if not entry.held), beside, None), None)
        if entry is None:
            return place, self._now[lane]
        if beside:
            return place, entry.start
        served = max(self._served.get(entry.owner, entry.since), self._lanes[lane])
        quiet = self._clock() - max(entry.since, served)
        return max(0, place - 1) if quiet >= PATIENCE_S else place, entry.start

    def ahead(self, job_id: str) -> tuple[int, float]:
        """Jobs before this one, and seconds until it can begin; (0, 0) for one that is not here."""
        entry = self._entries.get(job_id)
        if entry is None:
            return 0, 0.0
        jobs, seconds = self._before(entry.turn)
        return jobs, self._stretched(seconds, self.left(job_id), self._kind(entry))

    def until_done(self, user_id: int) -> float:
        """Seconds until the last of a user's jobs should be finished; 0 where there is none."""
        owned = [jobs for (_, user), jobs in self._owned.items() if user == user_id]
        return max((self.ahead(job)[1] + self.left(job) for jobs in owned for job in jobs), default=0.0)

    def left(self, job_id: str) -> float:
        """Device seconds that a job still takes."""
        entry = self._entries.get(job_id)
        return entry.seconds * entry.left if entry else 0.0

    def before(self, lane: str, user_id: int, seconds: float) -> float:
        """Seconds until a job that is yet to be queued could begin."""
        owner = (lane, user_id)
        turn = (LANES.index(lane), self._start(owner), self._numbers + 1)
        return self._stretched(self._before(turn)[1], seconds, (lane, owner in self._owned))

    def _before(self, turn: tuple[int, float, int]) -> tuple[int, float]:
        # Every admission passes ten thousand entries here, on the event loop: no call for each of them.
        earlier = [e.seconds * e.left for e in self._entries.values() if (e.place, e.start, e.number) < turn]
        devices = max(1, self._devices())
        # While a device is free nobody waits, however long those on the others take.
        return len(earlier), sum(earlier) / devices if len(earlier) >= devices else 0.0

    def _kind(self, entry: _Entry) -> _Kind:
        return entry.owner[0], next(iter(self._owned[entry.owner].values())) is not entry

    def _learn(self, entry: _Entry) -> None:
        """How dear a job was that went to its end, and how long it took to come."""
        if entry.left < ENDED:
            self._gone += 1
            self._ordinary += max(ORDINARY, 1 / self._gone) * (entry.price - self._ordinary)
        if entry.told > 0 and entry.left < ENDED:
            known = self._stretches.setdefault(entry.kind, deque(maxlen=LEARNED))
            now = self._clock()
            known.append((now, (now - entry.since) / entry.told))

    def _stretched(self, before: float, own: float, kind: _Kind) -> float:
        """Seconds until a job of ``own`` seconds can begin, with those who come and go first."""
        recent = self._clock() - FORGOTTEN_S
        known = [stretch for came, stretch in self._stretches.get(kind, ()) if came > recent]
        stretch = max(1.0, statistics.median(known)) if len(known) >= ENOUGH else 1.0
        return stretch * (before + own) - own if before else 0.0

    def _start(self, owner: _Owner) -> float:
        """Behind the user's other jobs; who has none begins an ordinary job's cost ahead of who waits."""
        lane = owner[0]
        if owner in self._owned:
            return self._finish[owner]
        if lane in self._moved:
            self._moved.discard(lane)
            starts = (entry.start for entry in self._entries.values() if entry.owner[0] == lane)
            self._now[lane] = max(self._now[lane], min(starts, default=self._now[lane]))
        return max(self._finish.get(owner, float("-inf")), self._now[lane] - self._ordinary)
