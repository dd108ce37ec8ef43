"""What waits for the engine's devices or steps on one; torch-free, safe to use from several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import islice

from engine.api import GenerationSpec
from engine.estimates import Estimates
from engine.profile import Profile
from engine.scheduler import Scheduler, Ticket

Key = tuple[str, int]
"""A job's id and the number of one of its parts."""


class JobQueue:
    """One scheduler for all devices. A job that a device has begun stays there; the others are anybody's."""

    def __init__(self, profiles: Mapping[str, Profile], max_rows: int, estimates: Estimates) -> None:
        self._profiles = profiles
        self.max_rows = max_rows
        self.estimates = estimates
        self._lock = threading.Lock()
        self._loading: dict[int, Callable[[str], float]] = {}
        self._scheduler = Scheduler(max_rows, loading=lambda model, place: self._loading[place](model))
        self._waiting: dict[str, GenerationSpec] = {}

    def join(self, place: int, loading: Callable[[str], float]) -> None:
        """A device that takes part; ``loading`` says in how many seconds a model could run there; every
        device's thread asks.
        """
        with self._lock:
            self._loading[place] = loading
            self._scheduler.join(place)

    def leave(self, place: int) -> None:
        """A device that is lost; what waits is left to it no more."""
        with self._lock:
            self._scheduler.leave(place)

    @property
    def waiting(self) -> int:
        """Jobs that no device has begun."""
        return len(self._waiting)

    def put(self, spec: GenerationSpec) -> None:
        """Queue a job that was checked before."""
        native = self._profiles[spec.model].family.native
        parts = enumerate(shared_out(spec.seeds, self.max_rows))
        keys = [((spec.job_id, number), len(seeds)) for number, seeds in parts]
        tickets = [self.ticket(spec, key, rows, group_of(spec, key, native)) for key, rows in keys]
        with self._lock:
            self._waiting[spec.job_id] = spec
            for ticket in tickets:
                self._scheduler.add(ticket)

    def ticket(self, spec: GenerationSpec, key: Key, rows: int, group: Hashable) -> Ticket:
        """For some of a job's images."""
        cost = self.estimates.expect(spec) * rows / spec.count
        return Ticket(key, spec.user, spec.lane, rows, group, cost, spec.share, spec.model, spec.job_id)

    def withdraw(self, job_id: str) -> bool:
        """Drop a job that no device has begun; False when there is none."""
        with self._lock:
            spec = self._waiting.pop(job_id, None)
            if spec is None:
                return False
            for number, _ in enumerate(shared_out(spec.seeds, self.max_rows)):
                self._scheduler.remove((job_id, number))
            return True

    def plan(self, place: int) -> tuple[tuple[Ticket, ...], tuple[GenerationSpec, ...]]:
        """The tickets of a device's next tick, and the jobs that it begins with it."""
        with self._lock:
            tickets = self._scheduler.plan(place)
            ids = dict.fromkeys(ticket.job for ticket in tickets)
            return tickets, tuple(self._waiting.pop(str(job)) for job in ids if job in self._waiting)

    def update(self, seconds: Mapping[Hashable, float]) -> None:
        """Count what each ticket of a plan took."""
        with self._lock:
            self._scheduler.update(seconds)

    def charge(self, key: Key, seconds: float) -> None:
        """Count what a ticket took beside its steps."""
        with self._lock:
            self._scheduler.charge(key, seconds)

    def replace(self, ticket: Ticket) -> None:
        """The ticket of that key goes on as this one."""
        with self._lock:
            self._scheduler.replace(ticket)

    def set_apart(self, key: Key) -> None:
        """A ticket has no step left to share, though something to do."""
        with self._lock:
            self._scheduler.set_apart(key)

    def remove(self, key: Key) -> None:
        """Forget a ticket; unknown keys are ignored."""
        with self._lock:
            self._scheduler.remove(key)


def group_of(spec: GenerationSpec, key: Hashable, native: bool) -> Hashable:
    """Equal for what can share a forward pass; prompt, guidance, steps and sampler may differ."""
    if not native:
        return (spec.model, key)
    return (spec.model, spec.width, spec.height, spec.tile, spec.loras)


def shared_out(seeds: tuple[int, ...], most: int) -> Iterator[tuple[int, ...]]:
    """``seeds`` in as few and as equal parts as ``most`` allows."""
    parts = -(-len(seeds) // most)
    rest = iter(seeds)
    for part in range(parts):
        yield tuple(islice(rest, len(seeds) // parts + (part < len(seeds) % parts)))
